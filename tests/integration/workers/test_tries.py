"""A change that kills its worker is told from one that meets an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.changes import inserted, lead, received
from workers import tries
from workers.processor import Outcome, Processor

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

TRIES = "SELECT count(*) FROM delivery_try"


async def crash(pool: Pool, change: ReceivedChange) -> None:
    """Do what a worker had done when the change killed it."""
    async with pool.acquire() as connection:
        await tries.mark(connection, change)


async def test_a_suspect_that_does_no_harm_is_committed_and_forgotten(
    pool: Pool, processor: Processor
) -> None:
    (change,) = received(inserted(lead()))
    for _ in range(5):
        assert await processor.process_suspect(change) == Outcome(1, 0)

    assert await pool.fetchval("SELECT count(*) FROM record") == 1
    assert await pool.fetchval(TRIES) == 0


async def test_a_change_that_killed_three_workers_is_a_dead_letter(
    pool: Pool, processor: Processor
) -> None:
    (change,) = received(inserted(lead()))
    for _ in range(3):
        await crash(pool, change)

    assert await processor.process_suspect(change) == Outcome(0, 1)
    row = await pool.fetchrow("SELECT record_id, reason, error FROM dead_letter")
    assert row is not None
    assert tuple(row) == (change.record_id, "crashed_worker", "3 workers died on this change")
    assert await pool.fetchval("SELECT count(*) FROM change") == 0
    assert await pool.fetchval(TRIES) == 0


async def test_a_change_that_killed_two_workers_is_tried_once_more(
    pool: Pool, processor: Processor
) -> None:
    (change,) = received(inserted(lead()))
    for _ in range(2):
        await crash(pool, change)

    assert await processor.process_suspect(change) == Outcome(1, 0)
    assert await pool.fetchval(TRIES) == 0


async def test_an_outage_that_meets_a_suspect_is_no_crash(pool: Pool, processor: Processor) -> None:
    (change,) = received(inserted(lead()))
    await pool.execute("ALTER TABLE change RENAME TO moved")
    for _ in range(8):
        with pytest.raises(asyncpg.UndefinedTableError):
            await processor.process_suspect(change)
    await pool.execute("ALTER TABLE moved RENAME TO change")

    assert await processor.process_suspect(change) == Outcome(1, 0)
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0


@pytest.mark.parametrize(
    "places", [["dead_letters.insert"], ["dead_letters.insert", "tries.take_back"], ["tries.clear"]]
)
async def test_an_outage_at_any_step_of_a_suspect_is_no_crash(
    pool: Pool, processor: Processor, monkeypatch: pytest.MonkeyPatch, places: list[str]
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError("the database is away")

    (change,) = received(inserted(lead()))
    with monkeypatch.context() as outage:
        for place in places:
            outage.setattr(f"workers.processor.{place}", away)
        for _ in range(5):
            with pytest.raises(ConnectionRefusedError):
                await processor.process_suspect(change)

    assert await pool.fetchval("SELECT tries FROM delivery_try") <= 1
    assert await processor.process_suspect(change) == Outcome(1, 0)
    assert await pool.fetchval("SELECT count(*) FROM change") == 1
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    assert await pool.fetchval(TRIES) == 0


async def test_an_outage_that_outlasts_several_workers_is_no_crash(pool: Pool) -> None:
    (change,) = received(inserted(lead()))
    await pool.execute("ALTER TABLE change RENAME TO moved")
    for _ in range(5):
        # Each held for as long as it may, gave the delivery back and ended in good order.
        with pytest.raises(asyncpg.UndefinedTableError):
            await Processor(pool, retention_days=90).process_suspect(change)
    await pool.execute("ALTER TABLE moved RENAME TO change")

    assert await Processor(pool, retention_days=90).process_suspect(change) == Outcome(1, 0)
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
