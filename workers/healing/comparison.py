"""What an org says it has against what is stored of it: one range of ids in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pipeline.audit import FIRST_ID, LAST_ID
from pipeline.objects import KEY_PREFIXES, long_id
from workers.healing.reading import SETTLED_AFTER_MS
from workers.received import now_ms

if TYPE_CHECKING:
    from pipeline.audit import AuditRange
    from pipeline.database import Connection, Pool

log = structlog.get_logger()

_FIND_AUDIT: Final = """
    SELECT audit_id FROM request
    WHERE request_id = $1 AND org_id = $2 AND object = $3 AND kind = 'audit'
      AND state <> 'withdrawn'"""
_INSERT_RANGE: Final = """
    INSERT INTO audit_range (audit_id, object, after_id, to_id) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING RETURNING true"""
# A record that is stored as gone and is there was brought back, unless it may have gone since. Who
# was forgotten is not missing.
_COMPARE: Final = """
    WITH told AS (
        SELECT * FROM unnest($6::text[], $7::bigint[]) AS told (record_id, modstamp)),
    stored AS (
        SELECT record_id, captured_at, deleted FROM record
        WHERE org_id = $2 AND record_id > $4 AND record_id <= $5 AND object = $3),
    compared AS (
        SELECT record_id, told.modstamp, stored.captured_at,
               CASE
                   WHEN told.record_id IS NULL THEN
                       CASE WHEN NOT deleted AND captured_at < $8::bigint THEN 'extra' END
                   WHEN stored.record_id IS NULL THEN
                       CASE WHEN NOT EXISTS (SELECT FROM tombstone
                                             WHERE org_id = $2 AND mark = record_id)
                            THEN 'missing' END
                   WHEN deleted THEN
                       CASE WHEN captured_at < $8::bigint OR captured_at < modstamp
                            THEN 'missing' END
                   WHEN captured_at < modstamp THEN 'stale'
               END AS kind,
               stored.record_id IS NOT NULL AND NOT deleted AS is_stored
        FROM told FULL JOIN stored USING (record_id)),
    found AS (
        INSERT INTO audit_finding (audit_id, record_id, object, kind, modstamp, stored_at)
        SELECT $1, record_id, $3, kind, modstamp, captured_at FROM compared
        WHERE kind IS NOT NULL ORDER BY record_id
        ON CONFLICT DO NOTHING)
    SELECT count(*) FILTER (WHERE is_stored) FROM compared"""
_COUNT: Final = """
    UPDATE audit_object
    SET compared_count = compared_count + $3, stored_count = stored_count + $4
    WHERE audit_id = $1 AND object = $2"""
_MOVE_ON: Final = """
    UPDATE request
    SET cursor = CASE WHEN $2 = '~' THEN cursor ELSE greatest(cursor, $2 COLLATE "C") END,
        sent_count = sent_count + $3,
        began_at = coalesce(began_at, clock_timestamp()), heard_at = clock_timestamp()
    WHERE request_id = $1"""


class Comparison:
    """Compares ranges, each in a transaction of its own; what differs becomes a finding."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def compare(self, told: AuditRange) -> None:
        """Compare one range; one that was compared before changes nothing.

        Raises:
            Exception: nothing was committed; `pipeline.errors.classify` tells what follows.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            audit_id = await connection.fetchval(
                _FIND_AUDIT, told.audit_id, long_id(told.org_id), told.object
            )
            if audit_id is None:
                log.info("audit_range_unasked", org_id=told.org_id, request_id=told.audit_id)
                return
            if await connection.fetchval(
                _INSERT_RANGE, audit_id, told.object, told.first, told.last
            ):
                stored_count = await _compare(connection, audit_id, told)
                count = len(told.records)
                await connection.execute(_COUNT, audit_id, told.object, count, stored_count)
                await connection.execute(_MOVE_ON, told.audit_id, told.last, count)


async def _compare(connection: Connection, audit_id: int, told: AuditRange) -> int:
    first, last = _bounds(told)
    stored_count: int = await connection.fetchval(
        _COMPARE,
        audit_id,
        long_id(told.org_id),
        told.object,
        first,
        last,
        [long_id(record_id) for record_id, _ in told.records],
        [modstamp for _, modstamp in told.records],
        # An org whose clock is ahead takes nothing for gone that has only just come.
        min(told.read_at, now_ms()) - SETTLED_AFTER_MS,
    )
    return stored_count


def _bounds(told: AuditRange) -> tuple[str, str]:
    """Return the ids between which to look; at the ends, no other object's ids are read."""
    prefix = KEY_PREFIXES[told.object]
    first = prefix if told.first == FIRST_ID else told.first
    return first, prefix + LAST_ID if told.last == LAST_ID else told.last
