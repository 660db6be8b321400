"""`EventBus`, and the context of a trigger on platform events.

[apex_class_eventbus_TriggerContext]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList
from tests.apex_runtime.library.database import results_of
from tests.apex_runtime.library.registry import InSession, define, platform_object

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.objects import ApexObject, SObject
    from tests.apex_runtime.values import Value


def _publish(session: Session, events: SObject | ApexList) -> Value:
    outcomes = session.platform.publish(session.records(events))
    results = results_of(outcomes, "SaveResult")
    return results if isinstance(events, ApexList) else results[0]


def _current(session: Session) -> ApexObject:
    context = session.platform.context
    return platform_object(
        "EventBus.TriggerContext",
        retries=context("EventBus.TriggerContext.retries"),
        lastError=context("EventBus.TriggerContext.lastError"),
    )


define(
    "EventBus",
    statics={
        "publish(SObject) Database.SaveResult": InSession(_publish),
        "publish(List<SObject>) List<Database.SaveResult>": InSession(_publish),
    },
)
define(
    "EventBus.TriggerContext",
    statics={"currentContext() EventBus.TriggerContext": InSession(_current)},
    fields={"retries": "Integer", "lastError": "String"},
    methods={
        "setResumeCheckpoint(String) void": InSession(
            lambda session, _this, replay_id: session.platform.set_resume_checkpoint(replay_id)
        ),
    },
)
define(
    "EventBus.TestBroker",
    methods={"deliver() void": InSession(lambda session, _this: session.platform.deliver_events())},
)
