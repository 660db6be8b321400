"""Asynchronous Apex on the virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.values import ApexThrown, LimitReached

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.unit.apex_runtime.org.conftest import Deploy

# Notes when it runs; `say` is state that the caller may change after it has queued the job.
NOTE = """
public class Note implements Queueable {
    public List<String> say;
    public Note(List<String> say) { this.say = say; }
    public void execute(QueueableContext c) {
        insert new Task(Subject = String.join(say, ','), Description = c.getJobId());
    }
}
"""


def subjects(org: Org) -> list[object]:
    return [each.fields.get("Subject") for each in org.select("SELECT Subject FROM Task")]


def run(org: Org, source: str, context: str = "sync") -> None:
    with org.transaction(context=context) as tx:
        tx.anonymous(source)


def test_a_job_runs_after_the_commit_with_the_state_it_was_queued_with(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs
    org = deploy(NOTE)
    run(
        org,
        "List<String> said = new List<String>{ 'a' }; Id job = System.enqueueJob(new Note(said));"
        "said.add('b'); System.assertEquals(0, [SELECT COUNT() FROM Task]);",
    )
    assert subjects(org) == []
    org.run_until_idle()
    assert subjects(org) == ["a"]
    (task,) = org.select("SELECT Description FROM Task")
    (job,) = org.select("SELECT Id, Status FROM AsyncApexJob")
    assert (job.fields["Id"], job.fields["Status"]) == (task.fields["Description"], "Completed")
    assert [each.class_name for each in org.async_executions] == ["Note"]


def test_a_delay_is_waited_for_in_virtual_time(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs: 0 to 10 minutes
    org = deploy(NOTE)
    start_ms = org.clock.now_ms
    run(org, "System.enqueueJob(new Note(new List<String>{ 'x' }), 10);")
    org.advance(minutes=9.9)
    assert subjects(org) == []
    org.advance(minutes=5)
    assert subjects(org) == ["x"]
    assert 600_000 <= org.async_executions[0].at_ms - start_ms < 601_000
    with pytest.raises(ApexThrown):
        run(org, "System.enqueueJob(new Note(new List<String>{ 'x' }), 11);")


def test_a_signature_counts_only_while_its_twin_is_queued(deploy: Deploy) -> None:
    # Guide page apex_dedupe_queueable
    org = deploy(NOTE)
    source = (
        "AsyncOptions o = new AsyncOptions();"
        "o.DuplicateSignature = new QueueableDuplicateSignature.Builder()"
        "    .addString('drain').build();"
        "System.enqueueJob(new Note(new List<String>{ 'x' }), o);"
    )
    run(org, source)
    with pytest.raises(ApexThrown, match="DuplicateMessageException"):
        run(org, source)
    run(org, f"try {{ {source} }} catch (DuplicateMessageException e) {{ }}")
    org.run_until_idle()
    run(org, source)
    org.run_until_idle()
    assert subjects(org) == ["x", "x"]


def test_an_aborted_job_does_not_run_and_frees_its_signature(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs: a queued job may be aborted under Apex Jobs
    org = deploy(NOTE)
    source = (
        "AsyncOptions o = new AsyncOptions(); o.MinimumQueueableDelayInMinutes = 5;"
        "o.DuplicateSignature = new QueueableDuplicateSignature.Builder().addString('x').build();"
        "System.enqueueJob(new Note(new List<String>{ 'x' }), o);"
    )
    run(org, source)
    assert org.queue.abort("Other") == 0
    assert org.queue.abort("Note") == 1
    org.advance(minutes=10)
    assert not org.async_executions
    (row,) = org.select("SELECT Status FROM AsyncApexJob")
    assert row.fields["Status"] == "Aborted"
    run(org, source)
    org.advance(minutes=5)
    assert subjects(org) == ["x"]


CHAIN = """
public class Chain implements Queueable {
    public void execute(QueueableContext c) {
        insert new Task(Subject = String.valueOf(AsyncInfo.getCurrentQueueableStackDepth()));
        System.enqueueJob(new Chain());
    }
}
"""


def test_a_chain_ends_at_depth_five_in_a_developer_org(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs
    org = deploy(CHAIN, edition=Edition.DEVELOPER)
    run(org, "System.enqueueJob(new Chain());")
    org.run_until_idle()
    assert subjects(org) == ["1", "2", "3", "4"]
    assert [each.error.args[0] for each in org.failures] == [
        "AsyncException: Maximum stack depth has been reached."
    ]


def test_options_raise_the_depth_of_a_chain(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs: AsyncOptions.MaximumQueueableStackDepth
    org = deploy(CHAIN, edition=Edition.DEVELOPER)
    run(
        org,
        "AsyncOptions o = new AsyncOptions(); o.MaximumQueueableStackDepth = 7;"
        "System.enqueueJob(new Chain(), o);",
    )
    org.run_until_idle()
    assert len(subjects(org)) == 6


def test_a_job_may_queue_one_child_only(deploy: Deploy) -> None:
    # Guide page apex_queueing_jobs
    org = deploy(
        NOTE,
        "public class Two implements Queueable { public void execute(QueueableContext c) {"
        " System.enqueueJob(new Note(new List<String>{ 'a' }));"
        " System.enqueueJob(new Note(new List<String>{ 'b' })); } }",
    )
    run(org, "System.enqueueJob(new Two());")
    org.run_until_idle()
    assert subjects(org) == []
    assert isinstance(org.failures[0].error, LimitReached)


def test_the_allowance_of_a_day_ends_in_an_uncatchable_exception(deploy: Deploy) -> None:
    # Guide page apex_gov_limits: asynchronous executions in 24 hours
    org = deploy(NOTE, daily_async_executions=2)
    queue = "System.enqueueJob(new Note(new List<String>{ 'x' }));"
    run(org, queue)
    org.queue.use_up(1)
    with pytest.raises(LimitReached):
        run(org, f"try {{ {queue} }} catch (Exception e) {{ }}")
    org.advance(minutes=24 * 60 + 1)
    run(org, queue)
    org.run_until_idle()
    assert subjects(org) == ["x", "x"]


FINALIZED = """
public class Finalized implements Queueable, Finalizer {
    public String fate;
    public List<String> steps = new List<String>();
    public Finalized(String fate) { this.fate = fate; }
    public void execute(QueueableContext c) {
        System.attachFinalizer(this);
        steps.add('ran');
        insert new Task(Subject = 'of the job');
        if (fate == 'throws') { String s; s.length(); }
        if (fate == 'limit') { while (true) { List<Lead> l = [SELECT Id FROM Lead]; } }
    }
    public void execute(FinalizerContext c) {
        Exception e = c.getException();
        String message = e == null ? '' : e.getTypeName();
        insert new Task(Subject = c.getResult().name() + ' ' + String.join(steps, ',') + ' '
            + message + ' ' + Limits.getLimitQueries() + ' ' + Limits.getLimitQueueableJobs());
    }
}
"""


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("well", ["of the job", "SUCCESS ran  100 1"]),
        ("throws", ["UNHANDLED_EXCEPTION ran System.NullPointerException 100 1"]),
        ("limit", ["UNHANDLED_EXCEPTION ran System.LimitException 100 1"]),
    ],
)
def test_a_finalizer_runs_after_every_end_with_the_state_at_the_jobs_end(
    deploy: Deploy, fate: str, expected: list[str]
) -> None:
    # Guide page apex_transaction_finalizers
    org = deploy(FINALIZED)
    run(org, f"System.enqueueJob(new Finalized('{fate}'));")
    org.run_until_idle()
    assert subjects(org) == expected
    assert len(org.async_executions) == 1


def test_a_finalizer_may_queue_a_failing_job_again_five_times(deploy: Deploy) -> None:
    # Guide page apex_transaction_finalizers
    org = deploy(
        "public class Again implements Queueable, Finalizer {"
        " public void execute(QueueableContext c) { System.attachFinalizer(this);"
        "  throw new IllegalArgumentException('no'); }"
        " public void execute(FinalizerContext c) { System.enqueueJob(new Again()); } }"
    )
    run(org, "System.enqueueJob(new Again());")
    org.run_until_idle()
    assert len(org.async_executions) == 6


def test_a_second_finalizer_is_refused(deploy: Deploy) -> None:
    # Guide page apex_transaction_finalizers
    org = deploy(
        "public class Twice implements Queueable, Finalizer {"
        " public void execute(QueueableContext c) { System.attachFinalizer(this);"
        "  System.attachFinalizer(this); }"
        " public void execute(FinalizerContext c) { } }"
    )
    run(org, "System.enqueueJob(new Twice());")
    org.run_until_idle()
    assert "HandledException" in str(org.failures[0].error)


def test_jobs_that_fall_due_run_in_order_each_at_its_time(deploy: Deploy) -> None:
    org = deploy(NOTE)
    for name, minutes in (("late", 8), ("early", 2)):
        run(org, f"System.enqueueJob(new Note(new List<String>{{ '{name}' }}), {minutes});")
    before_ms = org.clock.now_ms
    org.advance(minutes=10)
    assert subjects(org) == ["early", "late"]
    assert org.clock.now_ms == before_ms + 600_000


def test_a_future_method_may_not_be_called_from_a_batch(deploy: Deploy) -> None:
    # Guide page apex_invoking_future_methods
    org = deploy(
        "public class Later { @future public static void note(String s) {"
        " insert new Task(Subject = s); } }"
    )
    run(org, "Later.note('x');")
    org.run_until_idle()
    assert subjects(org) == ["x"]
    with pytest.raises((ApexThrown, LimitReached)):
        run(org, "Later.note('x');", context="batch")
