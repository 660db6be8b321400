"""Transactions: rollback, savepoints, governor limits, setup objects, bulk loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.apex_runtime.org.limits import Context, Limits
from tests.apex_runtime.values import ApexThrown, LimitReached
from tests.unit.apex_runtime.org.trigger_log import lead

if TYPE_CHECKING:
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import TriggerContext
    from tests.unit.apex_runtime.org.conftest import Deploy

NOTHING = "public class Nothing implements Queueable { public void execute(QueueableContext c) {} }"


def test_an_exception_that_nobody_catches_undoes_records_and_jobs(deploy: Deploy) -> None:
    org = deploy(NOTHING)
    with pytest.raises(ApexThrown, match="NullPointerException"), org.transaction() as tx:
        tx.anonymous(
            "insert new Lead(LastName = 'x', Company = 'y'); System.enqueueJob(new Nothing());"
            "String s; s.length();"
        )
    org.run_until_idle()
    assert org.select("SELECT Id FROM Lead") == []
    assert org.async_executions == []


def test_a_limit_is_reached_past_every_catch(deploy: Deploy) -> None:
    # Guide page apex_gov_limits: LimitException cannot be caught
    org = deploy()
    with pytest.raises(LimitReached, match="Too many SOQL queries: 101"), org.transaction() as tx:
        tx.anonymous(
            "try { for (Integer i = 0; i < 101; i++) { List<Lead> l = [SELECT Id FROM Lead]; } }"
            " catch (Exception e) { }"
        )


@pytest.mark.parametrize(
    ("context", "queries", "jobs", "heap", "cpu_ms"),
    [
        (Context.SYNC, 100, 50, 6_000_000, 10_000),
        (Context.QUEUEABLE, 200, 1, 12_000_000, 60_000),
        (Context.FUTURE, 200, 1, 12_000_000, 60_000),
        (Context.BATCH, 200, 1, 12_000_000, 60_000),
        # Guide page platform_events_subscribe_apex: synchronous limits
        (Context.EVENT, 100, 50, 6_000_000, 10_000),
        # Guide page apex_transaction_finalizers: synchronous but for heap and jobs
        (Context.FINALIZER, 100, 1, 12_000_000, 10_000),
    ],
)
def test_each_context_has_its_limits(
    context: Context, queries: int, jobs: int, heap: int, cpu_ms: int
) -> None:
    # Guide page apex_gov_limits
    limits = Limits(context)
    assert limits.most("Queries") == queries
    assert limits.most("QueueableJobs") == jobs
    assert limits.most("HeapSize") == heap
    assert limits.most("CpuTime") == cpu_ms
    assert (limits.most("DmlStatements"), limits.most("DmlRows")) == (150, 10_000)
    assert limits.most("Callouts") == 100


def test_a_second_job_in_asynchronous_apex_ends_the_transaction(deploy: Deploy) -> None:
    # Guide page apex_gov_limits: one enqueueJob where the caller is asynchronous
    org = deploy(NOTHING)
    second = "try { System.enqueueJob(new Nothing()); } catch (Exception e) { }"
    with org.transaction(context="batch") as tx:
        tx.anonymous("System.enqueueJob(new Nothing());")
        with pytest.raises(LimitReached, match="Too many queueable jobs added to the queue: 2"):
            tx.anonymous(second)


def test_statements_and_rows_of_dml_are_counted_across_triggers(deploy: Deploy) -> None:
    org = deploy(
        "trigger T on Lead (after insert) { List<Task> tasks = new List<Task>();"
        " for (Lead l : Trigger.new) { tasks.add(new Task(Subject = 's')); } insert tasks; }"
    )
    with org.transaction() as tx:
        tx.insert("Lead", *(lead(str(n)) for n in range(400)))
        assert tx.platform.limit("DmlStatements") == (3, 150)
        assert tx.platform.limit("DmlRows") == (800, 10_000)


def test_heap_is_limited(deploy: Deploy) -> None:
    # Guide page apex_gov_limits: 6 MB synchronous, 12 MB asynchronous
    source = "String s = 'x'.repeat(7000000); Integer n = [SELECT COUNT() FROM Lead];"
    org = deploy()
    with pytest.raises(LimitReached, match="heap size too large"), org.transaction() as tx:
        tx.anonymous(source)
    with org.transaction(context="queueable") as tx:
        tx.anonymous(source)


def test_cpu_time_is_limited(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.apex_runtime.org.transaction._STATEMENT_CPU_US", 5_000)
    org = deploy()
    with pytest.raises(LimitReached, match="CPU time limit"), org.transaction() as tx:
        tx.anonymous("Integer x = 0; for (Integer i = 0; i < 20000; i++) { x += i; }")


def test_a_savepoint_brings_back_records_and_jobs_but_not_statics(deploy: Deploy) -> None:
    # Guide page langCon_apex_transaction_control
    org = deploy(NOTHING, "public class Kept { public static Integer n = 0; }")
    with org.transaction() as tx:
        tx.anonymous(
            "Savepoint sp = Database.setSavepoint(); Kept.n = 1;"
            "insert new Lead(LastName = 'x', Company = 'y'); System.enqueueJob(new Nothing());"
            "Database.rollback(sp);"
            "insert new Lead(LastName = String.valueOf(Kept.n), Company = 'y');"
        )
        assert tx.platform.limit("DmlStatements") == (4, 150)
    org.run_until_idle()
    assert [each.fields["LastName"] for each in org.select("SELECT LastName FROM Lead")] == ["1"]
    assert org.async_executions == []


@pytest.mark.parametrize("field", ["UserRoleId", "IsActive", "ProfileId", "Username"])
def test_setup_changes_of_a_user_mix_with_no_other_dml(deploy: Deploy, field: str) -> None:
    # Guide page apex_dml_non_mix_sobjects
    org = deploy()
    user = org.user("jane@example.com")
    value = {
        "UserRoleId": org.users.add_role("Sales"),
        "IsActive": False,
        "ProfileId": org.users.admin_profile,
        "Username": "john@example.com",
    }[field]
    with org.transaction() as tx:
        tx.insert("Lead", lead("x"))
        with pytest.raises(ApexThrown, match="MIXED_DML_OPERATION"):
            tx.update("User", {"Id": user, field: value})
    with org.transaction() as tx:
        tx.update("User", {"Id": user, field: value})
        with pytest.raises(ApexThrown, match="MIXED_DML_OPERATION"):
            tx.insert("Lead", lead("x"))


def test_other_changes_of_a_user_mix_with_other_dml(deploy: Deploy) -> None:
    # Guide page apex_dml_non_mix_sobjects
    org = deploy()
    user = org.user("jane@example.com")
    with org.transaction() as tx:
        tx.insert("Lead", lead("x"))
        tx.update("User", {"Id": user, "Title": "Dr"})


def test_a_bulk_load_has_new_limits_every_200_records_and_keeps_statics(deploy: Deploy) -> None:
    # Guide page apex_gov_limits: Bulk API; the statics of a batch are one transaction's
    org = deploy(
        NOTHING,
        "public class Chunk { public static Integer n = 0; }",
        "trigger T on Lead (before insert) { Chunk.n++;"
        " for (Lead l : Trigger.new) { l.Title = Chunk.n + '/' + Limits.getQueueableJobs(); }"
        " System.enqueueJob(new Nothing()); }",
    )
    saved = org.bulk_load("insert", "Lead", [lead(str(n)) for n in range(600)])
    assert all(each.success for each in saved)
    titles = [each.fields["Title"] for each in org.select("SELECT Title FROM Lead")]
    assert titles == ["1/0"] * 200 + ["2/0"] * 200 + ["3/0"] * 200
    org.run_until_idle()
    assert len(org.async_executions) == 3


def test_a_batch_job_runs_each_scope_in_a_transaction_of_its_own(deploy: Deploy) -> None:
    org = deploy("public class Seen { public static Integer n = 0; }")
    seen: list[Any] = []

    def note(tx: Transaction, context: TriggerContext) -> None:
        assert context.new is not None
        seen.append((tx.context("System.isBatch"), len(context.new)))

    org.add_trigger("Lead", "AFTER_INSERT", note)
    org.run_batch(
        lambda work, scope: work.insert("Lead", *scope), [lead(str(n)) for n in range(3)], scope=2
    )
    assert seen == [(True, 2), (True, 1)]
    assert len(org.async_executions) == 2


def test_a_batch_class_runs_by_its_name(deploy: Deploy) -> None:
    org = deploy(
        "public class Marking { public void execute(Object context, List<SObject> scope) {"
        " for (SObject each : scope) { ((Lead) each).Title = System.isBatch() ? 'b' : 'n'; }"
        " update scope; } }"
    )
    with org.transaction() as tx:
        tx.insert("Lead", lead("a"), lead("b"), lead("c"))
    org.run_batch("Marking", org.select("SELECT Id FROM Lead"), scope=2)
    assert {each.fields["Title"] for each in org.select("SELECT Title FROM Lead")} == {"b"}
    assert [each.class_name for each in org.async_executions] == ["Marking", "Marking"]
