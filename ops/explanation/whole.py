"""All that ever happened to an enrolment: adds and exits, records that ended, what was told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.errors import OpsError
from ops.explanation.enrollment import Delivery, Explanation, explain_enrollment
from ops.explanation.trail import ChangeTrail, read_trails
from ops.times import with_iso_times
from workers.relay.addresses import suppressible

if TYPE_CHECKING:
    from pipeline.database import Connection

# The newest; an enrolment that is added again and again has no end of them.
_MAX_ROWS: Final = 100

_READ_EVENTS: Final = """
    SELECT * FROM (
        SELECT event.kind, event.rule, firing.rule_version, event.record_id,
               firing.cause_record_id, event.captured_at, event.capture_id, event.re_enroll,
               firing.fired_at
        FROM enrollment_event AS event JOIN firing USING (firing_id)
        WHERE event.org_id = $1 AND event.sequence = $2 AND event.recipient = $3
        ORDER BY event.captured_at DESC, event.capture_sequence DESC, event.capture_id DESC,
                 event.rule DESC, event.action DESC
        LIMIT $4) AS newest
    ORDER BY captured_at, capture_id, rule"""
# The records that ever added the recipient, and what they became.
_READ_SOURCES: Final = """
    WITH RECURSIVE line AS (
        SELECT DISTINCT record_id FROM enrollment_event
        WHERE org_id = $1 AND sequence = $2 AND recipient = $3 AND kind = 'add'
        UNION
        SELECT record_end.successor_id FROM line
        JOIN record_end ON record_end.org_id = $1 AND record_end.record_id = line.record_id
        WHERE record_end.successor_id IS NOT NULL)
    SELECT line.record_id, record_end.kind AS ended, record_end.successor_id,
           record_end.captured_at AS ended_at
    FROM line
    LEFT JOIN record_end ON record_end.org_id = $1 AND record_end.record_id = line.record_id
    ORDER BY record_end.captured_at NULLS LAST, line.record_id
    LIMIT $4"""
_READ_OUTBOX: Final = """
    SELECT * FROM (
        SELECT outbox_id AS id, kind, generation, target, state, attempts, last_error,
               idempotency_key, delayed_for, created_at,
               CASE WHEN state = 'open' THEN due_at END AS due_at, settled_at
        FROM outbox WHERE enrollment_id = $1
        ORDER BY outbox_id DESC LIMIT $2) AS newest
    ORDER BY id"""
_READ_SUPPRESSION: Final = """
    SELECT value, reason FROM suppression
    WHERE value = ANY($2::text[]) AND org_id IN ('', $1) ORDER BY length(value) DESC"""
_READ_REFUSALS: Final = """
    SELECT record_id, opted_out, bounced FROM opt_out
    WHERE org_id = $1 AND address = $2 AND (opted_out OR bounced)
      AND NOT EXISTS (SELECT FROM sequence
                      WHERE sequence.org_id = $1 AND sequence.sequence = $3 AND send_to_opted_out)
    ORDER BY record_id LIMIT 10"""
_READ_STOPS: Final = """
    SELECT target, reason FROM relay_stop WHERE target = 'all' OR target = ANY($1::text[])"""
_IS_PAUSED: Final = "SELECT paused FROM sequence WHERE org_id = $1 AND sequence = $2"


class Event(msgspec.Struct, frozen=True):
    """A firing that added the recipient, or took them out; `fired_at` is RFC 3339."""

    kind: str
    rule: str
    rule_version: int
    record_id: str
    cause_record_id: str | None
    captured_at: int
    capture_id: str
    re_enroll: str | None
    fired_at: str


class Source(msgspec.Struct, frozen=True):
    """A record that added the recipient, or that such a record became.

    `ended` says how it ended (`deleted`, `merged`, `converted`), if it did, and `ended_at` (Unix
    ms) when that was captured.
    """

    record_id: str
    ended: str | None
    successor_id: str | None
    ended_at: int | None


class OutboxRow(msgspec.Struct, frozen=True):
    """One thing that the target is to be told; times are RFC 3339.

    `last_error` holds what the target answered, or why the row waits.
    """

    id: int
    kind: str
    generation: int
    target: str
    state: Delivery
    attempts: int
    last_error: str | None
    idempotency_key: str
    delayed_for: str | None
    created_at: str
    due_at: str | None
    settled_at: str | None


class EnrollmentTrail(Explanation, frozen=True):
    """An enrolment with all that happened to it; see `Explanation` for how it came to be.

    `holds` are what keeps the relay from telling the target now, or would. `change` is None where
    the history does not reach back so far.
    """

    events: list[Event]
    sources: list[Source]
    outbox: list[OutboxRow]
    holds: list[str]
    change: ChangeTrail | None


async def explain_enrollment_whole(
    connection: Connection, enrollment_id: int, org_id: str | None = None
) -> EnrollmentTrail:
    """Return the whole trail of an enrolment, the newest 100 of everything.

    Raises:
        OpsError: there is no such enrolment, it is another org's than the one that was named, or
            nothing enrols it any more.
    """
    found = await explain_enrollment(connection, enrollment_id)
    if org_id not in {None, found.org_id}:
        raise OpsError(
            f"org {org_id} has no enrolment {enrollment_id}: `penstock enrollments list`"
        )
    key = (found.org_id, found.sequence, found.recipient)
    outbox = [
        OutboxRow(**with_iso_times(row))
        for row in await connection.fetch(_READ_OUTBOX, enrollment_id, _MAX_ROWS)
    ]
    changed_id = found.cause_record_id or found.record_id
    trails = await read_trails(
        connection, found.org_id, [(found.captured_at, found.capture_id, changed_id)]
    )
    return EnrollmentTrail(
        **msgspec.structs.asdict(found),
        events=[
            Event(**with_iso_times(row))
            for row in await connection.fetch(_READ_EVENTS, *key, _MAX_ROWS)
        ],
        sources=[
            Source(**_fields(row)) for row in await connection.fetch(_READ_SOURCES, *key, _MAX_ROWS)
        ],
        outbox=outbox,
        holds=await _holds(connection, found, outbox),
        change=trails[0] if trails else None,
    )


def _fields(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row of whatever columns
    return dict(row.items())


async def _holds(connection: Connection, found: Explanation, outbox: list[OutboxRow]) -> list[str]:
    """Say what keeps the relay from sending, or would."""
    told: list[str] = []
    may_be = suppressible(found.recipient)
    listed = await connection.fetch(_READ_SUPPRESSION, found.org_id, may_be)
    told += [
        f"{row['value']} is on the suppression list"
        + (f": {row['reason']}" if row["reason"] else "")
        for row in listed
    ]
    refusing = await connection.fetch(_READ_REFUSALS, found.org_id, found.recipient, found.sequence)
    told += [
        f"record {row['record_id']} says: " + ("opted out" if row["opted_out"] else "mail bounced")
        for row in refusing
    ]
    waiting = [row for row in outbox if row.state in {"open", "held"}]
    if not waiting:
        return told
    told += [
        f"the relay is stopped for {row['target']}: {row['reason']}"
        for row in await connection.fetch(_READ_STOPS, sorted({one.target for one in waiting}))
    ]
    if await connection.fetchval(_IS_PAUSED, found.org_id, found.sequence):
        told.append(f"sequence {found.sequence!r} is paused")
    told += [
        f"put off until {one.due_at} for {one.delayed_for.replace('_', ' ')}"
        for one in waiting
        if one.delayed_for is not None
    ]
    told += [one.last_error or "held" for one in waiting if one.state == "held"]
    return told
