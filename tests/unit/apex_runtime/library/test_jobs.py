"""Jobs, events and limits, as far as the language hands them over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.apex_runtime.library.registry import enum_constant, platform_object
from tests.apex_runtime.values import ApexThrown, Id, new_exception

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex

JOB = """
public class Job implements Queueable, Database.AllowsCallouts, Finalizer {
    public void execute(QueueableContext context) { System.debug('job ' + context.getJobId()); }
    public void execute(FinalizerContext context) {
        if (context.getResult() == ParentJobResult.UNHANDLED_EXCEPTION) {
            System.debug(context.getException().getMessage() + context.getRequestId());
        }
    }
}
"""


def test_a_job_is_enqueued_with_its_options(apex: Apex) -> None:
    # Guide page apex_queueing_jobs
    body = """
    AsyncOptions options = new AsyncOptions();
    options.MinimumQueueableDelayInMinutes = 3;
    options.MaximumQueueableStackDepth = 100;
    options.DuplicateSignature = new QueueableDuplicateSignature.Builder()
        .addString('a')
        .addInteger(1)
        .build();
    System.debug(System.enqueueJob(new Job(), options));
    System.enqueueJob(new Job(), 5);
    System.attachFinalizer(new Job());
    """
    assert apex.run(body, JOB) == ["7075g00000JobIdAAJ"]
    (_, job, options, _), (_, _, none, delay), (_, finalizer) = apex.platform.done
    given: Any = options
    assert job.cls.is_a("Database.AllowsCallouts")  # type: ignore[attr-defined]  # an instance
    assert given.fields["MinimumQueueableDelayInMinutes"] == 3
    assert given.fields["MaximumQueueableStackDepth"] == 100
    assert given.fields["DuplicateSignature"].fields["name"] == "a\n1\n"
    assert (none, delay) == (None, 5)
    assert finalizer.cls.is_a("finalizer")  # type: ignore[attr-defined]  # an instance


def test_execute_is_chosen_by_its_context(apex: Apex) -> None:
    # Guide page apex_transaction_finalizers
    session = apex.session(JOB)
    job = session.new("Job")
    session.call(job, "execute", [platform_object("QueueableContext", jobId=Id("7075g00000JobId"))])
    failed = platform_object(
        "FinalizerContext",
        result=enum_constant("ParentJobResult", "UNHANDLED_EXCEPTION"),
        exception=new_exception("System.LimitException", "too much"),
        requestId="r1",
    )
    session.call(job, "execute", [failed])
    assert session.log == ["job 7075g00000JobIdAAJ", "too muchr1"]


def test_events_are_published_and_their_context_read(apex: Apex) -> None:
    body = """
    List<Ping__e> events = new List<Ping__e>{ new Ping__e(Text__c = 'x') };
    List<Database.SaveResult> results = EventBus.publish(events);
    System.debug(results[0].isSuccess() + ' ' + EventBus.TriggerContext.currentContext().retries);
    Test.getEventBus().deliver();
    throw new EventBus.RetryableException('again');
    """
    session = apex.session()
    with pytest.raises(ApexThrown, match=r"EventBus\.RetryableException: again"):
        session.anonymous(body)
    assert session.log == ["true 3"]
    assert [each[0] for each in apex.platform.done] == ["publish", "deliver"]


def test_limits_and_context_come_from_the_platform(apex: Apex) -> None:
    body = """
    System.debug(Limits.getQueueableJobs() + ' ' + Limits.getLimitQueueableJobs());
    System.OrgLimit day = OrgLimits.getMap().get('DailyAsyncApexExecutions');
    System.debug(day.getValue() + ' ' + day.getLimit() + OrgLimits.getMap().get('SingleEmail'));
    System.debug(Request.getCurrent().getRequestId() + Request.getCurrent().getQuiddity());
    System.debug(URL.getOrgDomainUrl().toExternalForm() + UserInfo.getUserId());
    System.debug(Trigger.isExecuting + ' ' + Trigger.new + Test.isRunningTest());
    """
    assert apex.run(body) == [
        "1 50",
        "5 250000null",
        "4q8vQUEUEABLE",
        "https://example.my.salesforce.com0055g00000AbCdEAAV",
        "false nulltrue",
    ]
