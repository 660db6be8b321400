"""Scheduled Apex: one class at one minute of every hour, until it is deleted.

Source: Apex Developer Guide, apex_scheduler; Object Reference, sforce_api_objects_crontrigger.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.library.registry import platform_object
from tests.apex_runtime.org.limits import Context
from tests.apex_runtime.values import (
    ApexDatetime,
    ApexObject,
    ApexThrown,
    Id,
    LimitReached,
    deep_copy,
    throw,
)

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction

_HOUR_MS: Final = 3_600_000
_MINUTE_MS: Final = 60_000
_HOURLY: Final = re.compile(r"0 ([0-5]?\d) \* \* \* \?")


@dataclass(frozen=True)
class Scheduled:
    """A schedule: who runs what at which minute of the hour."""

    trigger_id: Id
    instance: ApexObject
    user_id: str
    minute: int


def scheduled(tx: Transaction, name: str, cron: str, instance: ApexObject) -> Scheduled:
    """Check `System.schedule`, store its CronTrigger and return the schedule, a copy of its state.

    Only an hourly expression is modelled.
    """
    found = _HOURLY.fullmatch(cron)
    if found is None:
        raise NotModelled(f"the cron expression {cron!r}")
    store = tx.org.store
    if any(row["Name"] == name for row in store.rows("CronJobDetail")):
        throw("AsyncException", f'The Apex job named "{name}" is already scheduled for execution.')
    most = tx.org.edition.scheduled_jobs
    if len(list(store.rows("CronTrigger"))) >= most:
        throw(
            "AsyncException",
            f"You have exceeded the maximum number ({most}) of Apex scheduled jobs.",
        )
    detail_id = store.new_id(tx.org.catalog["CronJobDetail"].prefix)
    store.put("CronJobDetail", detail_id, {"Id": detail_id, "Name": name, "JobType": "7"})
    trigger_id = store.new_id(tx.org.catalog["CronTrigger"].prefix)
    row = {"Id": trigger_id, "CronJobDetailId": detail_id, "CronExpression": cron}
    store.put("CronTrigger", trigger_id, {**row, "State": "WAITING", "TimesTriggered": 0})
    tx.uncommitted = True
    copied = deep_copy(instance)
    assert isinstance(copied, ApexObject)
    return Scheduled(trigger_id, copied, tx.user_id, int(found[1]))


class Schedule:
    """What committed transactions have scheduled."""

    def __init__(self, org: Org) -> None:
        self._org = org

    def add(self, new: Scheduled) -> None:
        """Take a schedule of a committed transaction; in an Apex test it runs once, at stopTest."""
        now_ms = self._org.clock.now_ms
        self._org.agenda.add(
            now_ms if self._org.test else _next_ms(new, now_ms), lambda: self._run(new)
        )

    def delete(self, name: str) -> None:
        """Delete a schedule, as an admin does under Setup, Scheduled Jobs."""
        store = self._org.store
        (detail,) = (row for row in store.rows("CronJobDetail") if row["Name"] == name)
        for row in store.rows("CronTrigger"):
            if row["CronJobDetailId"] == detail["Id"]:
                store.remove("CronTrigger", str(row["Id"]))
        store.remove("CronJobDetail", str(detail["Id"]))
        store.commit()

    def _run(self, each: Scheduled) -> None:
        """Run a schedule that is still there, and have it run in the next hour."""
        org = self._org
        row = org.store.get("CronTrigger", each.trigger_id)
        if row is None:
            return
        name = each.instance.cls.name
        org.queue.use_up(1)
        org.queue.ran(name)
        times = int(str(row["TimesTriggered"])) + 1
        now = ApexDatetime(org.clock.now_ms)
        fired = {**row, "TimesTriggered": times, "PreviousFireTime": now}
        org.store.put("CronTrigger", each.trigger_id, fired)
        org.store.commit()
        tx = org.begin(user_id=each.user_id, context=Context.SCHEDULED)
        try:
            context = platform_object("SchedulableContext", triggerId=each.trigger_id)
            instance = deep_copy(each.instance)
            assert isinstance(instance, ApexObject)
            tx.session.call(instance, "execute", [context])
            tx.commit()
        except (ApexThrown, LimitReached) as ended:
            tx.abort()
            org.queue.failed(name, ended)
        if not org.test:
            org.agenda.add(_next_ms(each, org.clock.now_ms), lambda: self._run(each))


def _next_ms(each: Scheduled, now_ms: int) -> int:
    """Return the next moment of the schedule after now."""
    due_ms = now_ms // _HOUR_MS * _HOUR_MS + each.minute * _MINUTE_MS
    return due_ms if due_ms > now_ms else due_ms + _HOUR_MS
