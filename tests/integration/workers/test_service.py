"""The history's partitions are made ahead, by however many workers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.database import window
from tests.changes import inserted, lead, received
from tests.salesforce import now_ms
from workers.processor import Outcome, Processor
from workers.service import keep_up

if TYPE_CHECKING:
    from pipeline.database import Pool

PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'change'::regclass"


async def test_a_longer_retention_gets_its_partitions_while_workers_start(pool: Pool) -> None:
    before = await pool.fetchval(PARTITIONS)
    stop = asyncio.Event()
    upkeep = [asyncio.create_task(keep_up(pool, 400, stop)) for _ in range(3)]
    async with asyncio.timeout(20):
        while await pool.fetchval(PARTITIONS) < before + (400 - 90) // 7:
            pass
    stop.set()
    await asyncio.gather(*upkeep)

    processor = Processor(pool, retention_days=400)
    first, last = window(retention_days=400, now_ms=now_ms())
    edges = received(*(inserted(lead(), captured_at=time) for time in (first + 60_000, last)))
    assert await processor.process(edges) == Outcome(2, 0)
