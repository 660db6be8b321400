"""Trails in lines of text; nothing in them is escaped yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from ops.commands.lines import folded, times
from ops.times import iso
from workers.continuity import GAP_ID_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ops.enrollments import State
    from ops.explanation import (
        ChangeTrail,
        Considered,
        Delivery,
        EnrollmentTrail,
        RecordTrail,
        Replayed,
        Stage,
    )
    from ops.explanation.conditions import Clause
    from ops.explanation.whole import OutboxRow

_STAGE_WIDTH: Final = 24
_UNWATCHED_SHOWN: Final = 8


def enrollment_lines(found: EnrollmentTrail) -> Iterator[str]:
    """Return the trail of an enrolment: why, when, what else happened to it, who was told."""
    yield f"{found.recipient} {standing(found.state, found.sequence)} because"
    yield (
        f"rule {found.rule!r} (version {found.rule_version}) fired on the"
        f" {found.operation or 'change'} of {found.object} {found.record_id}:"
    )
    yield from _cause_lines(found)
    callout = "" if found.callout_id is None else f", callout {found.callout_id}"
    if found.read_at is None:
        yield f"capture {found.capture_id}{callout}"
    else:
        yield "a load or an audit read it so; no trigger told of it"
    if found.delivery is not None and found.attempts is not None:
        trouble = f", last error: {found.last_error}" if found.last_error else ""
        yield from folded(delivery(found.delivery, found.attempts) + trouble, 0)
    if found.reason is not None:
        yield from folded(f"reason: {found.reason}", 0)
    for hold in found.holds:
        yield from folded(f"held back: {hold}", 0)
    yield from _stage_lines(found.stages)
    if found.change is not None and found.change.differences:
        yield "what changed:"
        yield from _difference_lines(found.change)
    yield from _event_lines(found)
    yield "told to the target:"
    for row in found.outbox:
        yield from _outbox_lines(row)
    if not found.outbox:
        yield "  nothing"


def _cause_lines(found: EnrollmentTrail) -> Iterator[str]:
    if found.cause_record_id is not None:
        yield f"  (judged again for the change of {found.cause_record_id})"
    for condition in found.conditions:
        yield from folded(f"- {condition.reads}", 2)
    if found.replay is not None:
        yield f"the rule saw the stored change again in {replayed(found.replay)}"


def _event_lines(found: EnrollmentTrail) -> Iterator[str]:
    over = ", which is over" if found.generation <= found.exited_generation else ""
    yield f"adds and exits (generation {found.generation}{over}):"
    for event in found.events:
        cause = (
            "" if event.cause_record_id is None else f", for a change of {event.cause_record_id}"
        )
        again = "" if event.re_enroll is None else f", re_enroll {event.re_enroll}"
        yield from folded(
            f"{iso(event.captured_at)} {event.kind} by rule {event.rule!r} (version"
            f" {event.rule_version}) on {event.record_id}{cause}{again}",
            2,
        )
    for source in found.sources:
        if source.ended is not None and source.ended_at is not None:
            into = "" if source.successor_id is None else f" into {source.successor_id}"
            yield f"  {iso(source.ended_at)} record {source.record_id} was {source.ended}{into}"


def _outbox_lines(row: OutboxRow) -> Iterator[str]:
    settled = "" if row.settled_at is None else f" at {row.settled_at}"
    due = "" if row.due_at is None else f", due {row.due_at}"
    yield from folded(
        f"{row.kind} of generation {row.generation} to {row.target}:"
        f" {delivery(row.state, row.attempts)}{settled}{due}",
        2,
    )
    if row.last_error:
        yield from folded(f"answer: {row.last_error}", 4)


def record_lines(found: RecordTrail) -> Iterator[str]:
    """Return the trail of a record: each change with its rules in short."""
    yield f"{found.object} {found.record_id}" + (" (deleted)" if found.deleted else "")
    if found.read_at is not None:
        yield f"its newest state was read at {iso(found.read_at)} by a load or an audit"
    for end in found.ends:
        into = "" if end.successor_id is None else f" into {end.successor_id}"
        yield f"{iso(end.captured_at)} it was {end.kind}{into}"
    for one in found.enrollments:
        why = f" ({one.reason})" if one.reason else ""
        yield from folded(
            f"enrolment {one.id}: {one.recipient} in {one.sequence!r}, {one.state}{why}", 0
        )
    for change in found.changes:
        yield ""
        yield from change_lines(change)


def change_lines(found: ChangeTrail) -> Iterator[str]:
    """Return the trail of a change: how it came, what differed, each rule considered."""
    yield f"{found.operation} of {found.object} {found.record_id} at {iso(found.captured_at)}"
    by = "" if found.actor_id is None else f" by {found.actor_id}"
    sync = " (the Sync User)" if found.by_sync_user else ""
    yield f"made{by}{sync} in transaction {found.transaction_id}"
    if found.capture_id.startswith(GAP_ID_PREFIX):
        yield "nobody told of it: it was lost, or no trigger saw it (`penstock gaps list`)"
    yield f"capture {found.capture_id}, callout {found.callout_id}"
    if found.replay is not None:
        yield f"published again by {replayed(found.replay)}"
    if found.deliveries > 1:
        yield (
            f"handed to a worker {found.deliveries} times: a worker before died, or gave it back,"
            " without settling it"
        )
    yield from _stage_lines(found.stages)
    if found.differences:
        yield "what changed:"
        yield from _difference_lines(found)
    yield "rules considered:" if found.rules else f"no rule of {found.object} was active then"
    for rule in found.rules:
        yield from _rule_lines(rule)
    for caused in found.caused:
        yield (
            f"it had {caused.record_id} judged again: rule {caused.rule!r} (version"
            f" {caused.rule_version}) fired on it"
        )


def _stage_lines(stages: Iterable[Stage]) -> Iterator[str]:
    for one in stages:
        since = one.since_received_ms
        after = "" if since is None else f"  {since:+,.1f} ms"
        yield f"  {one.stage:<{_STAGE_WIDTH}}{iso(one.at)}{after}"


def _difference_lines(found: ChangeTrail) -> Iterator[str]:
    unwatched = [one for one in found.differences if not one.watched]
    for one in found.differences:
        if one.watched or one in unwatched[:_UNWATCHED_SHOWN]:
            yield from folded(f"- {one.reads}" + ("" if one.watched else " (not watched)"), 2)
    # A new record differs in all that it has; --json has them all.
    if len(unwatched) > _UNWATCHED_SHOWN:
        yield f"  - and {len(unwatched) - _UNWATCHED_SHOWN} more that are not watched"


def _rule_lines(rule: Considered) -> Iterator[str]:
    outcome = rule.outcome.replace("_", " ")
    fired = "" if rule.fired_at is None else f" at {rule.fired_at}"
    yield from folded(f"{rule.rule} (version {rule.version}): {outcome}{fired} - {rule.why}", 2)
    if rule.replay is not None:
        yield f"    by {replayed(rule.replay)}"
    for condition in rule.conditions:
        yield from folded(f"{'no ' if condition.negated else 'yes'} {condition.reads}", 4)
    for clause in rule.clauses:
        yield from _clause_lines(clause, 4)
    for effect in rule.effects:
        verb = "added to" if effect.kind == "add" else "taken out of"
        which = "" if effect.enrollment_id is None else f" (enrolment {effect.enrollment_id})"
        yield from folded(
            f"→ {effect.recipient} {verb} {effect.sequence!r}{which}, today {effect.state}", 4
        )
    for call in rule.calls:
        answer = f", answer: {call.last_error}" if call.last_error else ""
        yield from folded(
            f"→ call of {call.url}: {call.state}, {times(call.attempts, 'attempt')}{answer}", 4
        )


def _clause_lines(clause: Clause, indent: int) -> Iterator[str]:
    verdict = {True: "yes", False: "no ", None: "?  "}[clause.verdict]
    if clause.reads is not None:
        yield from folded(f"{verdict} {clause.reads}", indent)
        return
    yield f"{' ' * indent}{verdict} {clause.kind} of:"
    for inner in clause.clauses:
        yield from _clause_lines(inner, indent + 4)


def replayed(replay: Replayed) -> str:
    """Say which run replayed, whose it was and when it began."""
    if replay.by is None:
        return f"run {replay.run_id}, of which this database knows no more"
    return f"run {replay.run_id} of {replay.by}, begun at {replay.at}"


def standing(state: State, sequence: str) -> str:
    """Say how someone in a state stands to a sequence, before a `because`."""
    match state:
        case "pending":
            return f"will enter sequence {sequence!r} (the target was not told yet)"
        case "held":
            return f"is held before sequence {sequence!r} (until somebody releases it)"
        case "active":
            return f"is in sequence {sequence!r}"
        case "failed":
            return f"was to enter sequence {sequence!r} (but the target refused)"
        case "exited":
            return f"is no longer in sequence {sequence!r}, and entered it"
        case "finished":
            return f"has finished sequence {sequence!r}, and entered it"
    assert_never(state)


def delivery(state: Delivery, attempts: int) -> str:
    """Say how far the target has been told."""
    tried = times(attempts, "attempt")
    match state:
        case "open":
            return f"not delivered yet, {tried}"
        case "held":
            return f"held, {tried}"
        case "delivered":
            return f"delivered after {tried}"
        case "failed":
            return f"delivery failed after {tried}"
        case "suppressed":
            return f"suppressed after {tried}"
        case "superseded":
            return f"delivery superseded after {tried}"
    assert_never(state)
