"""One change on its way: how it came, what differed, what each rule made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Raw

from ops import records
from ops.explanation.conditions import raw
from ops.explanation.considered import Considered, consider
from ops.explanation.replayed import Replayed, replayed_by
from ops.explanation.stages import Stage, at_the_worker, by_time, stages
from rules import Evidence, Operator, explain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from asyncpg import Record

    from pipeline.database import Connection

# (captured_at, capture_id, record_id): with the org, the history's key.
ChangeKey: TypeAlias = "tuple[int, str, str]"

_READ: Final = """
    SELECT change.*, org.sync_user_id, org.time_zone,
           (extract(epoch FROM persisted_at) * 1000)::float8 AS persisted_ms,
           redelivery.delivery_count, redelivery.run_id,
           (extract(epoch FROM redelivery.delivered_at) * 1000)::float8 AS delivered_ms,
           (SELECT conditions::text FROM conditions_span AS span
            WHERE span.org_id = change.org_id AND span.since <= change.persisted_at
            ORDER BY conditions_version DESC LIMIT 1) AS conditions
    FROM unnest($2::bigint[], $3::text[], $4::text[]) WITH ORDINALITY
        AS wanted (captured_at, capture_id, record_id, place)
    JOIN change USING (captured_at, capture_id, record_id)
    JOIN org USING (org_id)
    LEFT JOIN redelivery USING (captured_at, capture_id, record_id, org_id)
    WHERE change.org_id = $1
    ORDER BY place"""
_CAUSED: Final = """
    SELECT rule, rule_version, record_id FROM firing
    WHERE org_id = $1 AND transaction_id = $2 AND capture_id = $3 AND cause_record_id = $4
    ORDER BY record_id, rule LIMIT 100"""

_conditions: Final = msgspec.json.Decoder(dict[str, list[str]])


class Difference(msgspec.Struct, frozen=True):
    """A field that the change replaced; `watched`: its update alone would have been sent."""

    field: str
    old: Raw
    new: Raw
    watched: bool
    reads: str


class Caused(msgspec.Struct, frozen=True):
    """A rule that fired on another record, `record_id`, which this change had judged again."""

    rule: str
    rule_version: int
    record_id: str


class ChangeTrail(msgspec.Struct, frozen=True):
    """One change and what came of it. `captured_at` is Unix ms.

    `differences` begin with the watched fields; `rules` are those of the object that were active
    when a worker handled it. `deliveries`: how often the broker handed it to a worker. `replay` is
    there when a run published it again.
    """

    org_id: str
    object: str
    operation: str
    record_id: str
    capture_id: str
    transaction_id: str
    sequence: int
    captured_at: int
    actor_id: str | None
    by_sync_user: bool
    callout_id: str
    deliveries: int
    replay: Replayed | None
    stages: list[Stage]
    differences: list[Difference]
    rules: list[Considered]
    caused: list[Caused]


async def read_trails(
    connection: Connection, org_id: str, keys: Iterable[ChangeKey]
) -> list[ChangeTrail]:
    """Return the trails of changes in the order given, of those that history holds."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    if not columns:
        return []
    rows = await connection.fetch(_READ, org_id, *columns)
    return [await _trail(connection, row) for row in rows]


async def _trail(connection: Connection, row: Record) -> ChangeTrail:
    caused = await connection.fetch(
        _CAUSED, row["org_id"], row["transaction_id"], row["capture_id"], row["record_id"]
    )
    at = {
        "captured in Salesforce": row["captured_at"],
        "received by ingest": row["received_at"],
        **by_time(at_the_worker(row["persisted_ms"], row["delivered_ms"], row["delivery_count"])),
    }
    return ChangeTrail(
        org_id=row["org_id"],
        object=row["object"],
        operation=row["operation"],
        record_id=row["record_id"],
        capture_id=row["capture_id"],
        transaction_id=row["transaction_id"],
        sequence=row["sequence"],
        captured_at=row["captured_at"],
        actor_id=row["actor_id"],
        by_sync_user=row["actor_id"] == row["sync_user_id"],
        callout_id=row["callout_id"],
        deliveries=row["delivery_count"] or 1,
        replay=await replayed_by(connection, row["run_id"]),
        stages=stages(at, row["received_at"]),
        differences=_differences(row),
        rules=await consider(connection, row),
        caused=[Caused(*one) for one in caused],
    )


def _differences(row: Record) -> list[Difference]:
    change = records.RecordChange(
        capture_id=row["capture_id"],
        operation=row["operation"],
        captured_at=row["captured_at"],
        old=Raw((row["old"] or "null").encode()),
        new=Raw((row["new"] or "null").encode()),
    )
    conditions = _conditions.decode(row["conditions"] or "{}")
    watched = _watched(conditions.get(row["object"]), is_everything=not conditions)
    found = [
        Difference(
            field=one.field,
            old=raw(one.old),
            new=raw(one.new),
            watched=watched is None or one.field.lower() in watched,
            reads=explain(
                Evidence(one.field, Operator.CHANGED, True, one.old, one.new, verdict=True)
            ),
        )
        for one in records.changed_fields(change)
    ]
    return sorted(found, key=lambda one: not one.watched)


def _watched(fields: Sequence[str] | None, *, is_everything: bool) -> frozenset[str] | None:
    """Return the watched fields in lower case; None stands for all."""
    if is_everything or fields == []:
        return None
    return frozenset(map(str.lower, fields or ()))
