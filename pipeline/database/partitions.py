"""Weekly partitions of the history: made ahead, dropped behind, and the window that they hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg

from pipeline.errors import TransientError

if TYPE_CHECKING:
    from pipeline.database.pool import Connection

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
# How far ahead of this clock a change may say it was captured: Salesforce's clocks run well.
AHEAD_MS: Final = HOUR_MS
_LOCK_KEY: Final = 0x50415254
_DROP_LOCK_KEY: Final = 0x44524F50
# Partitions made ahead outlive a maintenance that fails for two weeks.
MADE_AHEAD_MS: Final = 2 * WEEK_MS
# Detaching waits for whoever reads the history, in front of nobody; the next hour goes on with it.
# The server gives up first, and says so: the pool's own timeout, 30 s, would be a lost connection.
_DROP_TIMEOUTS: Final = "SET lock_timeout = '5s'; SET statement_timeout = '20s'"

_IS_OWNER: Final = (
    "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'change'::regclass"
)
_LIST: Final = """
    SELECT relname AS name, pg_get_expr(relpartbound, pg_class.oid) AS bound,
           inhdetachpending AS is_pending
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'change'::regclass ORDER BY relname"""
_BOUND: Final = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")
# What is detached and not dropped yet; others who detach a partition may mean to keep it.
_MARK: Final = "older than the retention: to be dropped"
_LEFT: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND NOT relispartition
      AND relname ~ '^change_[0-9]{8}$' AND obj_description(oid, 'pg_class') = $1
    ORDER BY relname"""


class Partition(NamedTuple):
    """One that is attached; `is_pending`: detaching it was begun and not brought to its end."""

    name: str
    from_ms: int
    to_ms: int
    is_pending: bool


def window(*, retention_days: int, now_ms: int) -> tuple[int, int]:
    """Return the first and last `captured_at` (Unix ms) that is accepted at `now_ms`."""
    return now_ms - retention_days * DAY_MS, now_ms + AHEAD_MS


def first_needed(*, retention_days: int, now_ms: int) -> int:
    """Return where the history's first partition begins (Unix ms).

    One day of slack: the window is judged by a worker's clock, this by another's.
    """
    oldest, _ = window(retention_days=retention_days, now_ms=now_ms)
    return (oldest - DAY_MS) // WEEK_MS * WEEK_MS


async def partitions(connection: Connection) -> list[Partition]:
    """Return the history's partitions, the oldest first."""
    found = [
        Partition(row["name"], int(bound[1]), int(bound[2]), row["is_pending"])
        for row in await connection.fetch(_LIST)
        if (bound := _BOUND.search(row["bound"]))
    ]
    return sorted(found, key=lambda one: one.from_ms)


async def ensure_partitions(connection: Connection, *, retention_days: int, now_ms: int) -> None:
    """Make every weekly partition that the window, and the two weeks after it, need.

    To be called in a transaction. Processes that do so at once take turns: without the lock, all
    but the first fail on the names in the catalogue.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
    first = first_needed(retention_days=retention_days, now_ms=now_ms)
    for start in range(first, now_ms + MADE_AHEAD_MS, WEEK_MS):
        await connection.execute("SELECT penstock_make_partition($1, $2)", start, start + WEEK_MS)


async def drop_partitions(connection: Connection, *, retention_days: int, now_ms: int) -> list[str]:
    """Detach and drop the partitions that are all older than the window; return their names.

    Only the owner of the history may: for anybody else it does nothing.

    To be called outside a transaction, on a connection of a pool or of one command: what it sets
    and locks ends when it is given back. One process does so at a time. No commit waits for it:
    what it locks against writers is the old partition alone, and only once nobody is left who might
    look at it.

    Raises:
        TransientError: somebody reads the history for long; the next call goes on.
    """
    if not await connection.fetchval(_IS_OWNER):
        return []
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _DROP_LOCK_KEY):
        return []
    await connection.execute(_DROP_TIMEOUTS)
    first = first_needed(retention_days=retention_days, now_ms=now_ms)
    for one in await partitions(connection):
        if one.is_pending:
            await _detach(connection, one.name, "FINALIZE")
        elif one.to_ms <= first:
            await connection.execute(f"COMMENT ON TABLE {one.name} IS '{_MARK}'")
            await _detach(connection, one.name, "CONCURRENTLY")
    names = [row["relname"] for row in await connection.fetch(_LEFT, _MARK)]
    for name in names:
        await connection.execute(f"DROP TABLE {name}")
    return names


async def _detach(connection: Connection, name: str, how: str) -> None:
    try:
        await connection.execute(f"ALTER TABLE change DETACH PARTITION {name} {how}")
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as error:
        raise TransientError(
            f"partition {name} is detached later: somebody reads the history"
        ) from error
