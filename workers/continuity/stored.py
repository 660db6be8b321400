"""States of records that a batch left as they are: newer ones, or other ones than it told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.continuity.links import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection
    from workers.history import RecordKey
    from workers.received import ReceivedChange

# The limits keep the planner to the indexes.
_READ: Final = """
    SELECT stored.org_id, stored.record_id, stored.captured_at, stored.sequence, stored.capture_id,
           stored.deleted, stored.fields, history.transaction_id
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[])
        AS newest (org_id, record_id, captured_at, sequence, capture_id)
    CROSS JOIN LATERAL (
        SELECT * FROM record
        WHERE (record.org_id, record.record_id) = (newest.org_id, newest.record_id)
        LIMIT 1) AS stored
    LEFT JOIN LATERAL (
        SELECT transaction_id FROM change
        WHERE (change.captured_at, change.capture_id, change.record_id, change.org_id)
            = (stored.captured_at, stored.capture_id, stored.record_id, stored.org_id)
        LIMIT 1) AS history ON true
    WHERE (stored.captured_at, stored.sequence, stored.capture_id)
       <> (newest.captured_at, newest.sequence, newest.capture_id)"""


async def read_unwritten(
    connection: Connection, newest: Iterable[ReceivedChange]
) -> dict[RecordKey, State]:
    """Return the stored states that are not those in which `newest` left their records."""
    changes = list(newest)
    rows = await connection.fetch(
        _READ,
        [change.org_id for change in changes],
        [change.record_id for change in changes],
        [change.captured_at for change in changes],
        [change.sequence for change in changes],
        [change.capture_id for change in changes],
    )
    return {
        (row["org_id"], row["record_id"]): State(
            order=(row["captured_at"], row["sequence"], row["capture_id"]),
            transaction_id=row["transaction_id"],
            deleted=row["deleted"],
            fields=row["fields"].encode(),
        )
        for row in rows
    }
