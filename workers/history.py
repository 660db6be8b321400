"""History and current state: a statement each for a whole batch, whatever its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline import json_text
from pipeline.objects import Operation, SObject
from workers.received import ReceivedChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import asyncpg

    from pipeline.database import Connection

    # (captured_at, capture, record, org).
    ChangeKey = tuple[int, str, str, str]
    # (org, record).
    RecordKey = tuple[str, str]

# Records go to the database as the bytes that they came as: as strings, each would be decoded here,
# four bytes a character if it has one emoji, and encoded again.

# Returns the keys that were new, and the epoch of the rules that the batch is to be judged by: as
# committed after the first row was written (0004_lookups.sql says why that matters).
_INSERT_HISTORY: Final = """
    INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                        transaction_id, actor_id, callout_id, received_at, old, new)
    SELECT captured_at, capture_id, record_id, org_id, object, operation, sequence,
           transaction_id, actor_id, callout_id, received_at,
           convert_from(old, 'UTF8'), convert_from(new, 'UTF8')
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::integer[], $8::text[], $9::text[], $10::text[], $11::bigint[],
                $12::bytea[], $13::bytea[])
        AS given (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                  transaction_id, actor_id, callout_id, received_at, old, new)
    ON CONFLICT DO NOTHING
    RETURNING captured_at, capture_id, record_id, org_id,
              (SELECT penstock_rule_epoch()) AS epoch"""

# The limit keeps the planner to the index: an array of a few hundred keys had it read whole tables.
_READ_HISTORY: Final = """
    SELECT found.* FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
        AS wanted (captured_at, capture_id, record_id, org_id)
    CROSS JOIN LATERAL (
        SELECT * FROM change
        WHERE (change.captured_at, change.capture_id, change.record_id, change.org_id)
            = (wanted.captured_at, wanted.capture_id, wanted.record_id, wanted.org_id)
        LIMIT 1) AS found"""

# The last writer wins, whatever the order of arrival. A row that is not written is locked as well.
_UPSERT_RECORDS: Final = """
    INSERT INTO record AS stored (org_id, record_id, object, captured_at, sequence, capture_id,
                                  deleted, fields, watched_before, watched_after)
    SELECT org_id, record_id, object, captured_at, sequence, capture_id, deleted,
           convert_from(fields, 'UTF8')::jsonb, watched_before, watched_after
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::text[],
                $7::boolean[], $8::bytea[], $9::bigint[], $10::bigint[])
        AS given (org_id, record_id, object, captured_at, sequence, capture_id, deleted, fields,
                  watched_before, watched_after)
    ON CONFLICT (org_id, record_id) DO UPDATE
    SET captured_at = excluded.captured_at, sequence = excluded.sequence,
        capture_id = excluded.capture_id, deleted = excluded.deleted, fields = excluded.fields,
        watched_after = excluded.watched_after
    WHERE (stored.captured_at, stored.sequence, stored.capture_id)
        < (excluded.captured_at, excluded.sequence, excluded.capture_id)
      AND (excluded.watched_before IS NULL OR stored.watched_after = excluded.watched_before)"""
_NOT_COMPARED: Final = (None, None)


async def insert_history(
    connection: Connection, changes: Sequence[ReceivedChange]
) -> tuple[list[ReceivedChange], int | None]:
    """Insert `changes` (sorted by key, no key twice); return those that were new, and the epoch.

    The epoch is None when nothing was new.
    """
    if not changes:
        return [], None
    rows = await connection.fetch(
        _INSERT_HISTORY,
        [change.captured_at for change in changes],
        [change.capture_id for change in changes],
        [change.record_id for change in changes],
        [change.org_id for change in changes],
        [change.object.value for change in changes],
        [change.operation.value for change in changes],
        [change.sequence for change in changes],
        [change.transaction_id for change in changes],
        [change.actor_id for change in changes],
        [change.callout_id for change in changes],
        [change.received_at for change in changes],
        [change.original(change.old) for change in changes],
        [change.original(change.new) for change in changes],
    )
    if not rows:
        return [], None
    new_keys = {tuple(row)[:4] for row in rows}
    return [change for change in changes if change.key in new_keys], rows[0]["epoch"]


async def read_history(
    connection: Connection, keys: Iterable[ChangeKey]
) -> dict[ChangeKey, ReceivedChange]:
    """Return the changes of `keys` that the history still has, by their keys."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await connection.fetch(_READ_HISTORY, *map(list, zip(*wanted, strict=True)))
    changes = map(received_change, rows)
    return {change.key: change for change in changes}


def received_change(row: asyncpg.Record) -> ReceivedChange:
    """Return a change as a row of the history holds it."""
    return ReceivedChange(
        captured_at=row["captured_at"],
        capture_id=row["capture_id"],
        record_id=row["record_id"],
        org_id=row["org_id"],
        object=SObject(row["object"]),
        operation=Operation(row["operation"]),
        sequence=row["sequence"],
        transaction_id=row["transaction_id"],
        actor_id=row["actor_id"],
        callout_id=row["callout_id"],
        received_at=row["received_at"],
        masked=True,
        old=_masked(row["old"]),
        new=_masked(row["new"]),
    )


def _masked(original: str | None) -> bytes | None:
    return None if original is None else json_text.mask(original.encode())


async def upsert_records(
    connection: Connection,
    changes: Iterable[ReceivedChange],
    watched: Mapping[RecordKey, tuple[int | None, int | None]] | None = None,
) -> bool:
    """Bring the current state up to date with `changes`, of which the newest per record counts.

    `watched`: digests of the watched fields, as the record is said to have been before and as it
    is after. One that is stored otherwise is left as it is and locked, and so is one that is newer;
    return whether all were written.
    """
    newest: dict[RecordKey, ReceivedChange] = {}
    for change in changes:
        record = (change.org_id, change.record_id)
        if record not in newest or newest[record].order < change.order:
            newest[record] = change
    # Rows are locked in the order of their key: batches that overlap cannot deadlock.
    keys = sorted(newest)
    if not keys:
        return True
    rows = [newest[key] for key in keys]
    digests = [(watched or {}).get(key, _NOT_COMPARED) for key in keys]
    told = await connection.execute(
        _UPSERT_RECORDS,
        [change.org_id for change in rows],
        [change.record_id for change in rows],
        [change.object.value for change in rows],
        [change.captured_at for change in rows],
        [change.sequence for change in rows],
        [change.capture_id for change in rows],
        [change.operation is Operation.DELETE for change in rows],
        [change.state for change in rows],
        [before for before, _ in digests],
        [after for _, after in digests],
    )
    return told == f"INSERT 0 {len(rows)}"
