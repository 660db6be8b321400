"""Weekly partitions of the history, made ahead, and the window of times that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.database.pool import Connection

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS
# How far ahead of this clock a change may say it was captured: Salesforce's clocks run well.
AHEAD_MS: Final = HOUR_MS
_LOCK_KEY: Final = 0x50415254
# Partitions made ahead outlive a maintenance that fails for two weeks.
MADE_AHEAD_MS: Final = 2 * WEEK_MS


def window(*, retention_days: int, now_ms: int) -> tuple[int, int]:
    """Return the first and last `captured_at` (Unix ms) that is accepted at `now_ms`."""
    return now_ms - retention_days * DAY_MS, now_ms + AHEAD_MS


async def ensure_partitions(connection: Connection, *, retention_days: int, now_ms: int) -> None:
    """Make every weekly partition that the window, and the two weeks after it, need.

    To be called in a transaction. Processes that do so at once take turns: without the lock, all
    but the first fail on the names in the catalogue.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
    oldest, _ = window(retention_days=retention_days, now_ms=now_ms)
    # One day of slack: the window is judged by a worker's clock, this by another's.
    first = (oldest - DAY_MS) // WEEK_MS * WEEK_MS
    for start in range(first, now_ms + MADE_AHEAD_MS, WEEK_MS):
        await connection.execute("SELECT penstock_make_partition($1, $2)", start, start + WEEK_MS)
