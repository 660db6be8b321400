"""The history's old partitions go, in nobody's way, and what outlives the history stays."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.database import drop_partitions, ensure_partitions
from pipeline.database import partitions as partitions_module
from pipeline.database.partitions import DAY_MS, WEEK_MS, partitions
from pipeline.errors import Kind, classify
from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received
from tests.salesforce import ORG_ID, now_ms
from workers.processor import Outcome, Processor
from workers.service import keep_up

if TYPE_CHECKING:
    from pipeline.database import Pool

RETENTION_DAYS: Final = 90
WAITS: Final = "SELECT count(*) FROM pg_locks WHERE NOT granted"
FIRINGS: Final = "SELECT count(*) FROM firing"


async def names(pool: Pool) -> set[str]:
    async with pool.acquire() as connection:
        return {one.name for one in await partitions(connection)}


async def dropped(pool: Pool, at_ms: int) -> list[str]:
    async with pool.acquire() as connection:
        return await drop_partitions(connection, retention_days=RETENTION_DAYS, now_ms=at_ms)


async def made_longer(pool: Pool, retention_days: int) -> set[str]:
    """Make partitions as if the retention were longer; return those that it is too long by."""
    before = await names(pool)
    async with pool.acquire() as connection, connection.transaction():
        await ensure_partitions(connection, retention_days=retention_days, now_ms=now_ms())
    return await names(pool) - before


async def test_partitions_past_the_retention_go_and_firings_outlive_them(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    at = now_ms() - 80 * DAY_MS
    qualified = inserted(lead(Status="Qualified"), captured_at=at)
    assert await processor.process(received(qualified)) == Outcome(1, 0)
    kept = await names(pool)
    too_old = await made_longer(pool, RETENTION_DAYS + 28)
    firings = await pool.fetchval(FIRINGS)

    stop = asyncio.Event()
    upkeep = [asyncio.create_task(keep_up(pool, RETENTION_DAYS, stop)) for _ in range(3)]
    async with asyncio.timeout(30):
        while await names(pool) != kept:
            pass
    stop.set()
    await asyncio.gather(*upkeep)
    assert len(too_old) == 4
    for name in too_old:
        assert await pool.fetchval("SELECT to_regclass($1)", name) is None

    # The change is not too old yet; a week and some later it is, whatever else is kept of it.
    later = at + (RETENTION_DAYS + 8) * DAY_MS
    assert len(await dropped(pool, later)) > 0
    assert await pool.fetchval("SELECT count(*) FROM change") == 0
    assert await pool.fetchval(FIRINGS) == firings


async def test_a_reader_of_the_history_puts_dropping_off_and_no_commit_waits_for_either(
    pool: Pool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_org(pool, ORG_ID)
    too_old = await made_longer(pool, RETENTION_DAYS + 14)
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetchval("SELECT count(*) FROM change")
        dropping = asyncio.create_task(dropped(pool, now_ms()))
        async with asyncio.timeout(20):
            while not await pool.fetchval(WAITS):
                pass
        began = time.monotonic()
        assert await processor.process(received(inserted(lead()))) == Outcome(1, 0)
        assert not dropping.done()
        assert time.monotonic() - began < 4
        # Somebody else who looks meanwhile leaves it to the first.
        assert await dropped(pool, now_ms()) == []
        with pytest.raises(Exception, match="somebody reads the history") as held:
            await dropping
        assert classify(held.value) is Kind.TRANSIENT
        monkeypatch.setattr(partitions_module, "_DROP_TIMEOUTS", "SET lock_timeout = '100ms'")
        with pytest.raises(Exception, match="somebody reads the history"):
            await dropped(pool, now_ms())
    assert set(await dropped(pool, now_ms())) == too_old


async def test_a_partition_that_an_operator_detached_is_left_alone(pool: Pool) -> None:
    (first, *_) = sorted(await made_longer(pool, RETENTION_DAYS + 7))
    await pool.execute(f"ALTER TABLE change DETACH PARTITION {first}")
    assert await dropped(pool, now_ms()) == []
    assert await pool.fetchval("SELECT to_regclass($1)", first) is not None


async def test_partitions_that_the_window_needs_are_never_dropped(pool: Pool) -> None:
    week = now_ms() // WEEK_MS * WEEK_MS
    for at_ms in (week, week + DAY_MS, week + WEEK_MS - 1):
        async with pool.acquire() as connection, connection.transaction():
            await ensure_partitions(connection, retention_days=RETENTION_DAYS, now_ms=at_ms)
        await dropped(pool, at_ms)
        before = await names(pool)
        async with pool.acquire() as connection, connection.transaction():
            await ensure_partitions(connection, retention_days=RETENTION_DAYS, now_ms=at_ms)
        assert await names(pool) == before
