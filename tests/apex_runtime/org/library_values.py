"""The platform's own objects that the org hands to Apex or reads from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tests.apex_runtime.library.registry import enum_constant, named, platform_object
from tests.apex_runtime.types import SOBJECT
from tests.apex_runtime.values import ApexList, ApexObject, ApexThrown, LimitReached, new_exception

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.org.jobs import Job
    from tests.apex_runtime.org.triggers import Entry
    from tests.apex_runtime.values import Value


class AsyncOptions(NamedTuple):
    """What `System.AsyncOptions` says: None where it says nothing."""

    delay_min: int | None
    most_depth: int | None
    signature: Value


def async_options(options: ApexObject | None) -> AsyncOptions:
    """Read the options of a job."""
    if options is None:
        return AsyncOptions(None, None, None)
    fields = options.fields
    delay, depth = (
        fields.get("MinimumQueueableDelayInMinutes"),
        fields.get("MaximumQueueableStackDepth"),
    )
    assert delay is None or isinstance(delay, int)
    assert depth is None or isinstance(depth, int)
    return AsyncOptions(delay, depth, fields.get("DuplicateSignature"))


def queueable_context(job: Job) -> ApexObject:
    """Return what a queueable's `execute` takes."""
    return platform_object("QueueableContext", jobId=job.job_id)


def finalizer_context(
    job: Job, request_id: str, error: ApexThrown | LimitReached | None
) -> ApexObject:
    """Return what a finalizer's `execute` takes: the job, how it ended, its request's id."""
    exception: ApexObject | None = None
    if isinstance(error, ApexThrown):
        exception = error.value
    elif error is not None:
        exception = new_exception("System.LimitException", str(error.args[0]))
    result = "SUCCESS" if error is None else "UNHANDLED_EXCEPTION"
    return platform_object(
        "FinalizerContext",
        jobId=job.job_id,
        requestId=request_id,
        result=enum_constant("ParentJobResult", result),
        exception=exception,
    )


def dml_rows(failed: Iterable[Entry]) -> ApexList:
    """Return what a DmlException tells of each refused record."""
    rows = (
        platform_object(
            "DmlRow",
            index=entry.index,
            id=entry.given.fields.get("Id"),
            status=entry.errors[0][0],
            message=entry.errors[0][1],
        )
        for entry in failed
    )
    return ApexList(named("DmlRow"), rows)


def record_list(records: Iterable[Value]) -> ApexList:
    """Return records as a `List<SObject>`."""
    return ApexList(SOBJECT, records)
