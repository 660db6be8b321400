"""Reference fields that rules climb: which those are, and the records that were there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pipeline import metrics
from workers.lookups.references import referred, write_references

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool
    from workers.rule_book import RuleBook

log = structlog.get_logger()

RECORDS_PER_PAGE: Final = 1000

_READ: Final = "SELECT org_id, object, field FROM traversal"
# Whoever applies rules waits for it: the traversals follow the epoch that they were read with.
_LOCK_EPOCH: Final = "SELECT epoch FROM rule_epoch FOR UPDATE"
_NEXT_EPOCH: Final = "UPDATE rule_epoch SET epoch = epoch + 1"
# The horizon is after every transaction that judges by rules from before they climbed this.
_INSERT: Final = """
    INSERT INTO traversal (org_id, object, field, horizon)
    SELECT org_id, object, field, pg_current_xact_id()
    FROM unnest($1::text[], $2::text[], $3::text[]) AS needed (org_id, object, field)
    ON CONFLICT DO NOTHING"""
_DELETE: Final = """
    DELETE FROM traversal USING unnest($1::text[], $2::text[], $3::text[])
        AS dropped (org_id, object, field)
    WHERE (traversal.org_id, traversal.object, traversal.field)
        = (dropped.org_id, dropped.object, dropped.field)"""

# The next one to be filled in, if its horizon is reached.
_CLAIM: Final = """
    SELECT org_id, object, field, cursor FROM traversal
    WHERE NOT ready AND pg_snapshot_xmin(pg_current_snapshot()) >= horizon
    ORDER BY org_id, object, field LIMIT 1 FOR UPDATE SKIP LOCKED"""
_READ_RECORDS: Final = """
    SELECT record_id, CASE WHEN object = $4 AND NOT deleted THEN (
        SELECT value FROM jsonb_each_text(fields) AS each (key, value)
        WHERE lower(key) = $3 ORDER BY key LIMIT 1) END AS value
    FROM record WHERE org_id = $1 AND record_id > $2 ORDER BY record_id LIMIT $5"""
_MOVE: Final = """
    UPDATE traversal SET cursor = $4, ready = $5
    WHERE (org_id, object, field) = ($1, $2, $3)"""


class Traversals:
    """Keeps the table `traversal` in step with the rules, and fills in what came before them."""

    def __init__(self, pool: Pool, book: RuleBook) -> None:
        self._pool = pool
        self._book = book
        self._epoch: int | None = None

    async def page(self) -> bool:
        """Follow the rules, then look at one page of records; tell whether there was one."""
        async with self._pool.acquire() as connection:
            epoch = await self._book.turn_to_newest(connection)
            if epoch != self._epoch:
                await self._follow(connection, epoch)
            async with connection.transaction():
                return await self._fill(connection)

    async def _follow(self, connection: Connection, epoch: int) -> None:
        needed = {
            (org_id, sobject.value, field)
            for org_id, sobject, field in await self._book.needed_traversals()
        }
        held = {tuple(row) for row in await connection.fetch(_READ)}
        if needed != held:
            async with connection.transaction():
                if await connection.fetchval(_LOCK_EPOCH) != epoch:
                    # Other rules are there by now: they are followed next time.
                    return
                if missing := sorted(needed - held):
                    await connection.execute(_INSERT, *map(list, zip(*missing, strict=True)))
                if dropped := sorted(held - needed):
                    # Workers that hold this epoch would go on to keep what nobody reads.
                    await connection.execute(_DELETE, *map(list, zip(*dropped, strict=True)))
                    await connection.execute(_NEXT_EPOCH)
            log.info("traversals", added_count=len(missing), dropped_count=len(dropped))
        self._epoch = epoch

    async def _fill(self, connection: Connection) -> bool:
        row = await connection.fetchrow(_CLAIM)
        if row is None:
            return False
        key = (row["org_id"], row["object"], row["field"])
        records = await connection.fetch(
            _READ_RECORDS,
            row["org_id"],
            row["cursor"],
            row["field"],
            row["object"],
            RECORDS_PER_PAGE,
        )
        org_id, sobject, field = key
        found = [
            (org_id, parent_id, sobject, field, record["record_id"])
            for record in records
            if (parent_id := referred(record["value"])) is not None
        ]
        await write_references(connection, found)
        is_last = len(records) < RECORDS_PER_PAGE
        cursor = row["cursor"] if not records else records[-1]["record_id"]
        await connection.execute(_MOVE, *key, cursor, is_last)
        metrics.sweep_rows.labels("filled").inc(len(found))
        if is_last:
            log.info("traversal_ready", org_id=org_id, object=sobject, field=field)
        return True
