"""Audits in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from ops.audit_report import AuditState, ObjectState
from ops.commands.lines import times
from ops.times import age_s, ago, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.audit_report import Audit, AuditedObject, Example
    from ops.audits import Schedule


# Two hourly heartbeats, in whose answers it is asked for.
_SILENT_S: Final = 7200.0


class ObjectLine(msgspec.Struct, frozen=True):
    """What an audit found of an object as a line of the table."""

    object: str
    state: str
    compared: str
    missing: int
    stale: int
    extra: int
    healed: int
    heard_of: str | None


def object_line(one: AuditedObject) -> ObjectLine:
    """Return what an audit found of an object as a line of the table."""
    expected = "" if one.expected_count is None else f" of about {one.expected_count:,}"
    return ObjectLine(
        object=one.object,
        state=one.state,
        compared=f"{one.compared_count:,}{expected if _is_comparing(one) else ''}",
        missing=one.missing,
        stale=one.stale,
        extra=one.extra,
        healed=one.healed,
        heard_of=None if one.heard_at is None else ago(one.heard_at),
    )


def head_line(audit: Audit) -> str:
    """Return what an audit is and how far."""
    settled = "" if audit.settled_at is None else f" since {audit.settled_at}"
    return (
        f"audit {audit.id} of org {audit.org_id}, started {audit.started_at} by"
        f" {audit.started_by}: {audit.state}{settled}"
    )


def tail_lines(audit: Audit) -> Iterator[str]:
    """Return examples of what differs, and what there is to do."""
    for one in audit.objects:
        if one.examples:
            yield ""
            yield f"{one.object}, for example:"
            yield from (f"  {_example(example)}" for example in one.examples)
    match audit.state:
        case AuditState.RUNNING:
            yield from _silence_lines(audit)
        case AuditState.CANCELLED:
            return
        case AuditState.STOPPED:
            for one in audit.objects:
                if one.state is ObjectState.STOPPED:
                    yield from _stopped_lines(audit.org_id, one)
        case AuditState.DONE:
            left = sum(one.missing + one.stale + one.extra - one.healed for one in audit.objects)
            if left:
                yield ""
                yield (
                    f"{times(left, 'record')} did not come when asked for; the next audit asks"
                    f" again: `penstock audit {audit.org_id}`"
                )
        case _:
            assert_never(audit.state)


def schedule_line(schedule: Schedule, newest: Audit | None = None) -> str:
    """Return how often an org is audited, and what the next one waits for."""
    if schedule.every_days is None:
        return f"org {schedule.org_id} is not audited by itself"
    days = times(schedule.every_days, "day")
    line = f"org {schedule.org_id} is audited every {days}, next at {schedule.next_at}"
    if newest is None or newest.state not in {AuditState.RUNNING, AuditState.STOPPED}:
        return line
    return f"{line}, unless audit {newest.id} is still {newest.state} then"


def _silence_lines(audit: Audit) -> Iterator[str]:
    """Say of an audit that nothing was heard of for long, where it has not compared all."""
    if all(one.state is not ObjectState.COMPARING for one in audit.objects):
        return
    heard_at = max((one.heard_at or "" for one in audit.objects), default="") or audit.started_at
    if age_s(heard_at) > _SILENT_S:
        yield ""
        yield (
            f"Nothing of it was heard for {span(age_s(heard_at))}: `penstock org show"
            f" {audit.org_id}` says when the org was. In Salesforce, as anonymous Apex,"
        )
        yield "    Penstock.heartbeat();"
        yield "has it go on at once."


def _stopped_lines(org_id: str, one: AuditedObject) -> Iterator[str]:
    yield ""
    yield (
        f"{one.object}: {one.extra:,} of {times(one.stored_count, 'stored record')} are not in the"
        " org's list, too many to be taken for deleted. Look at"
    )
    yield "some of them in Salesforce. If they are gone there:"
    yield f"    penstock audit allow {org_id} --object {one.object}"
    yield "asks the org about each of them. If they are there, its list is wrong:"
    yield f"    penstock audit cancel {org_id}"


def _example(example: Example) -> str:
    parts = [f"{example.kind:<8}{example.record_id}"]
    if example.modified_at is not None:
        parts.append(f"changed {example.modified_at}")
    if example.stored_at is not None:
        parts.append(f"stored as of {example.stored_at}")
    if example.healed_at is not None:
        parts.append("healed")
    return ", ".join(parts)


def _is_comparing(one: AuditedObject) -> bool:
    match one.state:
        case ObjectState.COMPARING:
            return True
        case ObjectState.STOPPED | ObjectState.HEALING | ObjectState.DONE:
            return False
        case _:
            assert_never(one.state)
