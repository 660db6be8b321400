"""Queueables, finalizers and their options. [apex_queueing_jobs, apex_transaction_finalizers]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import throw
from tests.apex_runtime.library.registry import (
    InSession,
    define,
    define_enum,
    getter,
    platform_object,
)

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.objects import ApexObject
    from tests.apex_runtime.values import Value


define("QueueableContext", is_interface=True, methods={"getJobId() Id": getter("jobId")})
define_enum("ParentJobResult", "SUCCESS", "UNHANDLED_EXCEPTION")
define(
    "FinalizerContext",
    is_interface=True,
    methods={
        "getAsyncApexJobId() Id": getter("jobId"),
        "getException() Exception": getter("exception"),
        "getRequestId() String": getter("requestId"),
        "getResult() ParentJobResult": getter("result"),
    },
)
define("SchedulableContext", methods={"getTriggerId() Id": getter("triggerId")})

define(
    "Queueable",
    is_interface=True,
    methods={"execute(QueueableContext) void": getter("abstract")},
)
define(
    "Finalizer",
    is_interface=True,
    methods={"execute(FinalizerContext) void": getter("abstract")},
)
define(
    "Schedulable",
    is_interface=True,
    methods={"execute(SchedulableContext) void": getter("abstract")},
)
define("Comparable", is_interface=True, methods={"compareTo(Object) Integer": getter("abstract")})


define(
    "AsyncOptions",
    constructors={
        "new() AsyncOptions": lambda: platform_object("AsyncOptions"),
    },
    fields={
        "DuplicateSignature": "QueueableDuplicateSignature",
        "MaximumQueueableStackDepth": "Integer",
        "MinimumQueueableDelayInMinutes": "Integer",
    },
)


def _added(this: ApexObject, part: Value) -> ApexObject:
    this.fields["parts"] = f"{this.fields['parts']!s}{part!s}\n"
    return this


_BUILDER = "QueueableDuplicateSignature.Builder"
define("QueueableDuplicateSignature", by_value=True)
define(
    _BUILDER,
    constructors={"new() Builder": lambda: platform_object(_BUILDER, parts="")},
    methods={
        f"addId(Id) {_BUILDER}": _added,
        f"addInteger(Integer) {_BUILDER}": _added,
        f"addString(String) {_BUILDER}": _added,
        "build() QueueableDuplicateSignature": lambda this: platform_object(
            "QueueableDuplicateSignature", name=this.fields["parts"]
        ),
    },
)


def enqueue(
    session: Session, job: ApexObject | None, options: ApexObject | int | None = None
) -> Value:
    """Queue a job, with a delay in minutes or with options."""
    if job is None:
        throw("NullPointerException", "Argument cannot be null.")
    if isinstance(options, int):
        return session.platform.enqueue(job, None, options)
    return session.platform.enqueue(job, options, None)


def attach(session: Session, finalizer: ApexObject | None) -> None:
    """Attach the running job's finalizer."""
    if finalizer is None:
        throw("NullPointerException", "Argument cannot be null.")
    session.platform.attach_finalizer(finalizer)


define(
    "AsyncInfo",
    statics={
        f"{name}() {type_}": InSession(
            lambda session, name=name: session.platform.context(f"AsyncInfo.{name}")
        )
        for name, type_ in (
            ("getCurrentQueueableStackDepth", "Integer"),
            ("getMaximumQueueableStackDepth", "Integer"),
            ("getMinimumQueueableDelayInMinutes", "Integer"),
            ("hasMaxStackDepth", "Boolean"),
        )
    },
)
