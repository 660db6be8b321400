"""What audits found, for people and programs to read."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.times import iso, with_iso_times
from pipeline.objects import SObject
from pipeline.requests import LOAD_ORDER, StartedBy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from asyncpg import Record

    from pipeline.database import Connection

MAX_EXAMPLE_COUNT: Final = 5
MAX_AUDIT_COUNT: Final = 20

# One that was settled before all of its objects were is one that was cancelled.
_LISTING: Final = """
    SELECT audit_id AS id, org_id, started_by, started_at, settled_at,
           CASE WHEN state = 'done' AND EXISTS (
                    SELECT FROM audit_object
                    WHERE audit_object.audit_id = audit.audit_id AND audit_object.state <> 'done')
                THEN 'cancelled' ELSE state END AS state
    FROM audit WHERE org_id = $1 ORDER BY audit_id DESC LIMIT $2"""
# How many records there are nobody knows before they are walked: as many as last time, say.
_OBJECTS: Final = """
    SELECT one.audit_id, one.object, one.state, absent_allowed, compared_count, stored_count,
           walk.began_at, walk.heard_at,
           coalesce(
               (SELECT earlier.compared_count FROM audit_object AS earlier JOIN audit AS before
                USING (audit_id)
                WHERE before.org_id = audit.org_id AND earlier.audit_id < one.audit_id
                  AND earlier.object = one.object AND earlier.state = 'done'
                ORDER BY audit_id DESC LIMIT 1),
               (SELECT total_count FROM request
                WHERE org_id = audit.org_id AND object = one.object AND kind = 'load'
                  AND since IS NULL AND total_count IS NOT NULL
                ORDER BY request_id DESC LIMIT 1)) AS expected_count
    FROM audit_object AS one JOIN audit USING (audit_id)
    LEFT JOIN request AS walk ON walk.org_id = audit.org_id AND walk.audit_id = one.audit_id
        AND walk.object = one.object AND walk.kind = 'audit'
    WHERE one.audit_id = ANY($1::bigint[])"""
_COUNTS: Final = """
    SELECT audit_id, object, kind, count(*) AS found_count, count(healed_at) AS healed_count
    FROM audit_finding WHERE audit_id = ANY($1::bigint[]) GROUP BY audit_id, object, kind"""
# Those that are not healed yet say most.
_EXAMPLES: Final = """
    SELECT audit_id, object, kind, record_id, modstamp, stored_at, healed_at
    FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY
        AS wanted (audit_id, object, kind, place)
    CROSS JOIN LATERAL (
        SELECT record_id, modstamp, stored_at, healed_at FROM audit_finding
        WHERE (audit_finding.audit_id, audit_finding.object, audit_finding.kind)
            = (wanted.audit_id, wanted.object, wanted.kind)
        ORDER BY healed_at IS NOT NULL, record_id LIMIT $4) AS found
    ORDER BY place, healed_at IS NOT NULL, record_id"""


class AuditState(StrEnum):
    """How far an audit is; a stopped one found too much absent, and waits for an operator."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    CANCELLED = "cancelled"


class ObjectState(StrEnum):
    """How far an audit is with an object: `healing` until all that differs was sent again."""

    COMPARING = "comparing"
    STOPPED = "stopped"
    HEALING = "healing"
    DONE = "done"


class FindingKind(StrEnum):
    """How a record differs: not stored, stored as it was before, or stored and not in the org."""

    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"


class Example(msgspec.Struct, frozen=True):
    """A record that differs; times are RFC 3339.

    `modified_at` is when the org says that it last changed, `stored_at` the time of the state that
    was stored.
    """

    kind: FindingKind
    record_id: str
    modified_at: str | None
    stored_at: str | None
    healed_at: str | None


class AuditedObject(msgspec.Struct, frozen=True):
    """What an audit found of an object; the counts are of records, times are RFC 3339.

    `expected_count` is how many there were last time, if there was one; `stored_count` how many
    were stored where the org's were compared. `healed` counts those of `missing`, `stale` and
    `extra` that are right again.
    """

    object: SObject
    state: ObjectState
    absent_allowed: bool
    began_at: str | None
    heard_at: str | None
    compared_count: int
    expected_count: int | None
    stored_count: int
    missing: int
    stale: int
    extra: int
    healed: int
    examples: list[Example]


class Audit(msgspec.Struct, frozen=True):
    """An audit; times are RFC 3339."""

    id: int
    org_id: str
    state: AuditState
    started_by: StartedBy
    started_at: str
    settled_at: str | None
    objects: list[AuditedObject]


async def listing(connection: Connection, org_id: str, *, limit: int) -> list[Audit]:
    """Return the org's newest audits, the newest first."""
    audits = await connection.fetch(_LISTING, org_id, limit)
    objects = await _objects(connection, [row["id"] for row in audits])
    return [_audit(row, objects[row["id"]]) for row in audits]


def _audit(row: Record, objects: Iterable[AuditedObject]) -> Audit:
    values = with_iso_times(row)
    return Audit(
        **{
            **values,
            "state": AuditState(values["state"]),
            "started_by": StartedBy(values["started_by"]),
            "objects": sorted(objects, key=lambda one: LOAD_ORDER.index(one.object)),
        }
    )


async def _objects(
    connection: Connection, ids: Collection[int]
) -> Mapping[int, list[AuditedObject]]:
    counts: defaultdict[tuple[int, str], dict[FindingKind, Record]] = defaultdict(dict)
    for row in await connection.fetch(_COUNTS, ids):
        counts[row["audit_id"], row["object"]][FindingKind(row["kind"])] = row
    examples = await _examples(connection, counts)
    found: defaultdict[int, list[AuditedObject]] = defaultdict(list)
    for row in await connection.fetch(_OBJECTS, ids):
        place = (row["audit_id"], row["object"])
        kinds = {kind: one["found_count"] for kind, one in counts[place].items()}
        found[row["audit_id"]].append(
            AuditedObject(
                object=SObject(row["object"]),
                state=ObjectState(row["state"]),
                absent_allowed=row["absent_allowed"],
                began_at=_iso(row["began_at"]),
                heard_at=_iso(row["heard_at"]),
                compared_count=row["compared_count"],
                expected_count=row["expected_count"],
                stored_count=row["stored_count"],
                missing=kinds.get(FindingKind.MISSING, 0),
                stale=kinds.get(FindingKind.STALE, 0),
                extra=kinds.get(FindingKind.EXTRA, 0),
                healed=sum(one["healed_count"] for one in counts[place].values()),
                examples=examples[place],
            )
        )
    return found


async def _examples(
    connection: Connection, counts: Mapping[tuple[int, str], Mapping[FindingKind, Any]]
) -> Mapping[tuple[int, str], list[Example]]:
    wanted = [
        (*place, kind) for place, kinds in counts.items() for kind in FindingKind if kind in kinds
    ]
    columns = list(zip(*wanted, strict=True)) or [(), (), ()]
    examples: defaultdict[tuple[int, str], list[Example]] = defaultdict(list)
    for row in await connection.fetch(_EXAMPLES, *columns, MAX_EXAMPLE_COUNT):
        examples[row["audit_id"], row["object"]].append(
            Example(
                kind=FindingKind(row["kind"]),
                record_id=row["record_id"],
                modified_at=_iso(row["modstamp"]),
                stored_at=_iso(row["stored_at"]),
                healed_at=_iso(row["healed_at"]),
            )
        )
    return examples


def _iso(moment: Any) -> str | None:  # noqa: ANN401  a column of either kind of time
    return None if moment is None else iso(moment)
