"""The trail of a record: its newest changes with what came of each, and whom it enrolled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import OpsError, WrongUsage
from ops.explanation.trail import ChangeTrail, read_trails
from pipeline.objects import long_id
from workers.healing.reading import read_at_of

if TYPE_CHECKING:
    from pipeline.database import Connection

_MAX_ENROLLMENTS: Final = 100

_FIND: Final = """
    SELECT record.org_id, record.object, record.deleted, record.capture_id
    FROM org JOIN record USING (org_id)
    WHERE record_id = $1 AND ($2::text IS NULL OR org_id = $2)"""
_READ_KEYS: Final = """
    SELECT * FROM (
        SELECT captured_at, capture_id, record_id, sequence FROM change
        WHERE org_id = $1 AND record_id = $2
          AND ($4::bigint IS NULL OR (captured_at, sequence, capture_id) < ($4, $5, $6))
        ORDER BY captured_at DESC, sequence DESC, capture_id DESC LIMIT $3) AS newest
    ORDER BY captured_at, sequence, capture_id"""
_READ_ENROLLMENTS: Final = """
    SELECT DISTINCT enrollment_id AS id, enrollment.sequence, enrollment.recipient,
           enrollment.state, enrollment.reason
    FROM enrollment_event AS event JOIN enrollment USING (org_id, sequence, recipient)
    WHERE event.org_id = $1 AND event.record_id = $2
    ORDER BY enrollment_id LIMIT $3"""
_READ_ENDS: Final = """
    SELECT kind, captured_at, successor_id FROM record_end
    WHERE org_id = $1 AND record_id = $2 ORDER BY captured_at LIMIT $3"""


class Enrolled(msgspec.Struct, frozen=True):
    """An enrolment that the record's changes had a part in."""

    id: int
    sequence: str
    recipient: str
    state: str
    reason: str | None


class End(msgspec.Struct, frozen=True):
    """When (Unix ms) and how the record ceased to be itself, and what it went on as."""

    kind: str
    captured_at: int
    successor_id: str | None


class RecordTrail(msgspec.Struct, frozen=True):
    """A record's newest changes in order, and whom all of them enrolled.

    `read_at` (Unix ms) is there when a load or an audit brought its newest state.
    """

    org_id: str
    object: str
    record_id: str
    deleted: bool
    ends: list[End]
    enrollments: list[Enrolled]
    changes: list[ChangeTrail]
    read_at: int | None


async def explain_record(
    connection: Connection,
    record: str,
    org_id: str | None,
    *,
    limit: int,
    before: tuple[int, int, str] | None = None,
) -> RecordTrail:
    """Return the trail of a record (15 or 18 characters) by its newest `limit` changes.

    `before`: by those older than the one of this (`captured_at`, `sequence`, `capture_id`).

    Raises:
        OpsError: no change of such a record ever arrived.
        WrongUsage: several orgs have one.
    """
    record_id = long_id(record)
    found = await connection.fetch(_FIND, record_id, org_id)
    if not found:
        raise OpsError(f"no change of record {record_id} has arrived")
    if len(found) > 1:
        raise WrongUsage(f"{len(found)} orgs have record {record_id}: say which with --org ORG_ID")
    key = (found[0]["org_id"], record_id)
    rows = await connection.fetch(_READ_KEYS, *key, limit, *(before or (None, None, None)))
    keys = [tuple(row)[:3] for row in rows]
    enrolled = await connection.fetch(_READ_ENROLLMENTS, *key, _MAX_ENROLLMENTS)
    ends = await connection.fetch(_READ_ENDS, *key, _MAX_ENROLLMENTS)
    return RecordTrail(
        org_id=found[0]["org_id"],
        object=found[0]["object"],
        record_id=record_id,
        deleted=found[0]["deleted"],
        ends=[End(*row) for row in ends],
        enrollments=[Enrolled(*row) for row in enrolled],
        changes=await read_trails(connection, found[0]["org_id"], keys),
        read_at=read_at_of(found[0]["capture_id"]),
    )
