"""The rows of gaps that are due: claimed, read with what came in between, settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.history import received_change

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from pipeline.database import Connection
    from workers.received import ReceivedChange

# While a change is parked it may still come, and who has missed two hourly heartbeats may have
# parked some. An org that never told of itself parks nothing that anybody could know of.
_CLAIM: Final = """
    SELECT gap.*,
           coalesce(parked_count > 0 OR overflow_count > 0
                    OR beat_at < clock_timestamp() - interval '2 hours', false) AS is_parked
    FROM gap LEFT JOIN heartbeat USING (org_id)
    WHERE state = 'suspected' AND ($1::bigint IS NULL OR gap_id = $1)
      AND due_at <= clock_timestamp()
    ORDER BY due_at LIMIT $2 FOR UPDATE OF gap SKIP LOCKED"""
_LOCK_RECORDS: Final = """
    SELECT FROM unnest($1::text[], $2::text[]) AS wanted (org_id, record_id)
    JOIN record USING (org_id, record_id)
    ORDER BY record.org_id, record.record_id FOR NO KEY UPDATE OF record"""
# The newest first: where there are too many, the oldest are left out.
_READ_CHAINS: Final = """
    SELECT gap_id, found.*
    FROM unnest($1::bigint[]) AS due (gap_id) JOIN gap USING (gap_id)
    CROSS JOIN LATERAL (
        SELECT * FROM change
        WHERE change.org_id = gap.org_id AND change.record_id = gap.record_id
          AND change.captured_at BETWEEN gap.stored_at AND gap.captured_at
          AND (change.captured_at, change.sequence, change.capture_id)
            > (gap.stored_at, gap.stored_sequence, gap.stored_capture_id)
          AND (change.captured_at, change.sequence, change.capture_id)
            <= (gap.captured_at, gap.sequence, gap.capture_id)
        ORDER BY change.captured_at DESC, change.sequence DESC, change.capture_id DESC
        LIMIT $2) AS found"""
_SETTLE: Final = """
    UPDATE gap SET state = $2, settled_at = clock_timestamp(), stored = NULL
    WHERE gap_id = ANY($1::bigint[])"""
_POSTPONE: Final = """
    UPDATE gap SET due_at = clock_timestamp() + interval '1 hour'
    WHERE gap_id = ANY($1::bigint[])"""
# The attempt that fails for good is the last one.
_FAIL: Final = """
    UPDATE gap SET attempts = attempts + 1, error = $2,
        due_at = clock_timestamp() + interval '1 minute',
        state = CASE WHEN attempts + 1 >= $3 THEN 'failed' ELSE state END,
        settled_at = CASE WHEN attempts + 1 >= $3 THEN clock_timestamp() END,
        stored = CASE WHEN attempts + 1 < $3 THEN stored END
    WHERE gap_id = $1 AND state = 'suspected'
    RETURNING state = 'failed'"""

CHANGES_PER_GAP: Final = 200


async def claim(connection: Connection, only: int | None, limit: int) -> list[asyncpg.Record]:
    """Lock the gaps that are due and that no other sweep has, or the one gap `only`.

    `is_parked`: the org last told of changes that are not sent yet.
    """
    return list(await connection.fetch(_CLAIM, only, limit))


async def lock_records(connection: Connection, rows: Iterable[asyncpg.Record]) -> None:
    """Keep changes of the gaps' records from being committed meanwhile."""
    records = sorted({(row["org_id"], row["record_id"]) for row in rows})
    await connection.execute(_LOCK_RECORDS, *map(list, zip(*records, strict=True)))


async def read_chains(
    connection: Connection, rows: Iterable[asyncpg.Record]
) -> dict[int, list[ReceivedChange]]:
    """Return, by gap, what the history has of its span, in order; last the change that showed it.

    Of a span with very many changes, those at its end.
    """
    gap_ids = [row["gap_id"] for row in rows]
    chains: dict[int, list[ReceivedChange]] = {gap_id: [] for gap_id in gap_ids}
    for row in await connection.fetch(_READ_CHAINS, gap_ids, CHANGES_PER_GAP):
        chains[row["gap_id"]].append(received_change(row))
    for chain in chains.values():
        chain.sort(key=lambda change: change.order)
    return chains


async def settle(connection: Connection, gap_ids: Sequence[int], state: str) -> None:
    """Write what gaps turned out to be."""
    if gap_ids:
        await connection.execute(_SETTLE, gap_ids, state)


async def postpone(connection: Connection, gap_ids: Sequence[int]) -> None:
    """Look at gaps again in an hour."""
    if gap_ids:
        await connection.execute(_POSTPONE, gap_ids)


async def fail(connection: Connection, gap_id: int, error: str, *, max_attempts: int) -> bool:
    """Count a failure of its own against a gap; tell whether that was the last."""
    return bool(await connection.fetchval(_FAIL, gap_id, error, max_attempts))
