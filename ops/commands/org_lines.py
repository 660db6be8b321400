"""Orgs in lines of text: one for each in a table, or all that is known of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from ops.commands.lines import times
from ops.times import ago

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.orgs import Heartbeat, OrgState

# Heartbeats come every hour, and a job may wait in a busy org.
OVERDUE_AFTER: Final = timedelta(hours=2)
_LABEL_WIDTH: Final = 18


class OrgLine(msgspec.Struct, frozen=True):
    """An org as a line of the table; a paused one shows whether it is connected, too."""

    org_id: str
    state: str
    package: str | None
    heard_of: str | None
    parked: str | None
    async_used: str | None
    clock: str | None
    conditions: str | None


def org_line(org: OrgState) -> OrgLine:
    """Return an org as a line of the table."""
    told = org.heartbeat
    return OrgLine(
        org_id=org.org_id,
        state=_state(org),
        package=org.package_version or None,
        heard_of=None if org.heard_at is None else ago(org.heard_at),
        parked=None if told is None else _parked(told),
        async_used=None if told is None else _async_used(told),
        clock=None if told is None else _clock(told),
        conditions=_is_behind(org),
    )


def org_lines(org: OrgState) -> Iterator[str]:
    """Return all that is known of an org; nothing in it is escaped yet."""
    yield f"org {org.org_id}"
    for label, text in _facts(org):
        yield f"  {label:<{_LABEL_WIDTH}}{text}"


def _facts(org: OrgState) -> Iterator[tuple[str, str]]:
    since = f" since {org.connected_at}" if org.connected and org.connected_at else ""
    yield "state", f"{_state(org)}{since}"
    if org.connect_code_expires_at is not None:
        yield "connect code", f"open until {org.connect_code_expires_at}"
    yield "Sync User", org.sync_user_id
    if org.instance_url is not None:
        yield "instance", org.instance_url + (", a sandbox" if org.is_sandbox else "")
    yield "time zone", org.time_zone
    if not org.conditions:
        yield "sends", "everything, while no rule reads anything"
    for name, fields in sorted(org.conditions.items()):
        yield f"sends {name}", ", ".join(fields) or "whatever changes"
    added = (f"{name}.{field}" for name, fields in org.watched.items() for field in fields)
    if watched := ", ".join(added):
        yield "watched besides", watched
    if org.described:
        yield "described", ", ".join(org.described)
    if org.audit_every_days is not None:
        yield "audited", f"every {times(org.audit_every_days, 'day')}, next at {org.next_audit_at}"
    if org.open_audit is not None:
        yield "audit", f"{org.open_audit}: `penstock audit show {org.org_id}`"
    yield "heard of", "never" if org.heard_at is None else f"{ago(org.heard_at)}, {org.heard_at}"
    if org.heartbeat is None:
        yield "heartbeat", "none yet"
    else:
        yield from _told(org, org.heartbeat)


def _told(org: OrgState, told: Heartbeat) -> Iterator[tuple[str, str]]:
    age = datetime.now(UTC) - datetime.fromisoformat(told.beat_at)
    overdue = ", overdue: look for Penstock in Setup, Scheduled Jobs" if age > OVERDUE_AFTER else ""
    yield "heartbeat", f"{ago(told.beat_at)}{overdue}"
    yield "package", f"{org.package_version or '?'}, API {told.api_version or '?'}"
    if parked := _parked(told):
        yield "parked", parked
    if used := _async_used(told):
        yield "async executions", f"{used} in 24 h"
    if clock := _clock(told):
        yield "clock", f"{clock} against ours"
    yield "conditions", f"version {told.conditions_version}, {_is_behind(org)}"


def _state(org: OrgState) -> str:
    connected = "connected" if org.connected else "not connected"
    return org.state if org.state == connected else f"{org.state}, {connected}"


def _is_behind(org: OrgState) -> str | None:
    if org.conditions_up_to_date is None:
        return None
    return "up to date" if org.conditions_up_to_date else "behind"


def _parked(told: Heartbeat) -> str | None:
    if told.parked_count is None:
        return None
    person = f" + {told.overflow_count:,} to look at" if told.overflow_count else ""
    return f"{told.parked_count:,}{person}"


def _async_used(told: Heartbeat) -> str | None:
    if told.async_used_count is None or told.async_limit_count is None:
        return None
    return f"{told.async_used_count:,} of {told.async_limit_count:,}"


def _clock(told: Heartbeat) -> str | None:
    return None if told.clock_skew_ms is None else f"{told.clock_skew_ms / 1000:+.1f} s"
