"""Scheduled Apex: when it runs, what it may do there, how many there may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.unit.apex_runtime.org.conftest import Deploy

HOURLY = """
public class Hourly implements Schedulable {
    public void execute(SchedulableContext context) {
        Queueable job = (Queueable) Type.forName('Job').newInstance();
        System.enqueueJob(job);
        insert new Task(Subject = String.valueOf(System.isScheduled()));
    }
}
"""
JOB = """
public class Job implements Queueable {
    public void execute(QueueableContext context) { insert new Task(Subject = 'job'); }
}
"""
GREEDY = """
public class Greedy implements Schedulable {
    public void execute(SchedulableContext context) {
        System.enqueueJob(new Job());
        System.enqueueJob(new Job());
    }
}
"""
NEW_YEAR_MS = 1_767_225_600_000


def run(org: Org, line: str) -> None:
    with org.transaction() as admin:
        admin.anonymous(line)


def test_an_hourly_schedule_runs_at_its_minute_until_it_is_deleted(deploy: Deploy) -> None:
    # Guide page apex_scheduler
    org = deploy(HOURLY, JOB, start_ms=NEW_YEAR_MS)
    run(org, "System.schedule('mine', '0 20 * * * ?', new Hourly());")
    org.run_until_idle()
    assert not org.async_executions
    org.advance(minutes=180)
    ran = [(each.class_name, (each.at_ms - NEW_YEAR_MS) // 60_000) for each in org.async_executions]
    minutes = [minute for name, minute in ran if name == "Hourly"]
    assert minutes == [20, 80, 140]
    assert [name for name, _ in ran].count("Job") == 3
    subjects = {row.fields["Subject"] for row in org.select("SELECT Subject FROM Task")}
    assert subjects == {"true", "job"}
    (row,) = org.select("SELECT TimesTriggered FROM CronTrigger WHERE CronJobDetail.Name = 'mine'")
    assert row.fields["TimesTriggered"] == 3
    org.schedule.delete("mine")
    org.advance(minutes=120)
    assert len(org.async_executions) == 6


def test_what_a_transaction_rolls_back_is_not_scheduled(deploy: Deploy) -> None:
    org = deploy(HOURLY, JOB)
    run(
        org,
        "Savepoint before = Database.setSavepoint();"
        "System.schedule('mine', '0 20 * * * ?', new Hourly());"
        "Database.rollback(before);",
    )
    org.advance(minutes=120)
    assert not org.async_executions


def test_a_name_is_scheduled_once_and_an_edition_has_so_many(deploy: Deploy) -> None:
    # Guide page apex_scheduler: 100 at a time, 5 in Developer Edition
    org = deploy(HOURLY, JOB, edition=Edition.DEVELOPER)
    for number in range(5):
        run(org, f"System.schedule('{number}', '0 20 * * * ?', new Hourly());")
    with pytest.raises(ApexThrown, match=r"AsyncException: The Apex job named \"0\" is already"):
        run(org, "System.schedule('0', '0 20 * * * ?', new Hourly());")
    with pytest.raises(ApexThrown, match=r"maximum number \(5\) of Apex scheduled jobs"):
        run(org, "System.schedule('six', '0 20 * * * ?', new Hourly());")


def test_a_schedule_may_enqueue_one_job_and_its_failure_is_noted(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs: one job of an asynchronous transaction
    org = deploy(GREEDY, JOB)
    run(org, "System.schedule('mine', '0 20 * * * ?', new Greedy());")
    org.advance(minutes=60)
    (failure,) = org.failures
    assert (failure.name, "Too many queueable jobs" in str(failure.error)) == ("Greedy", True)


def test_another_expression_is_refused(deploy: Deploy) -> None:
    org = deploy(HOURLY, JOB)
    with pytest.raises(NotModelled, match="cron expression"):
        run(org, "System.schedule('mine', '0 0 2 ? * MON', new Hourly());")
