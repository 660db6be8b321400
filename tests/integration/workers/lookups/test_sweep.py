"""A sweep outlives whatever fails in it, and says so when it does not come to its end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from pipeline.settings import Worker
from tests.changes import add_org
from tests.integration.workers.lookups.org import (
    INDUSTRY,
    account,
    changed,
    contact,
    fired,
    left,
)
from tests.salesforce import ORG_ID
from workers.lookups.sweep import Sweep

if TYPE_CHECKING:
    import pytest

    from pipeline.database import Pool
    from workers.processor import Processor


async def test_an_outage_is_told_once_and_the_work_is_done_after_it(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    await changed(processor, None, account("Tech"))
    sweep, stop = Sweep(pool, Worker(sweep_s=0.02)), asyncio.Event()
    await pool.execute("ALTER TABLE waiting RENAME TO away")
    with capture_logs() as logs:
        running = asyncio.create_task(sweep.run(stop))
        # Other chores go on meanwhile.
        async with asyncio.timeout(20):
            while not await pool.fetchval("SELECT ready FROM traversal"):
                pass
        await asyncio.wait({running}, timeout=0.2)
        await pool.execute("ALTER TABLE away RENAME TO waiting")
        async with asyncio.timeout(20):
            while not await fired(pool):
                pass
        stop.set()
        await running
    assert [log["event"] for log in logs if log["log_level"] != "info"] == ["sweep_held"]
    assert await left(pool) == (0, 0)


async def test_health_shows_a_sweep_that_does_not_come_to_its_end(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, stop = Sweep(pool, Worker(sweep_s=0.02)), asyncio.Event()
    assert sweep.problem() is None
    monkeypatch.setattr("workers.lookups.sweep._LATE_S", 0.0)
    await pool.execute("ALTER TABLE waiting RENAME TO away")
    running = asyncio.create_task(sweep.run(stop))
    async with asyncio.timeout(20):
        while "away" not in str(sweep.problem()) and "waiting" not in str(sweep.problem()):
            await asyncio.wait({running}, timeout=0.02)
    assert str(sweep.problem()).startswith("no sweep for")
    stop.set()
    await running


async def test_ten_thousand_rows_that_wait_cost_a_sweep_little(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    await pool.execute(
        """
        INSERT INTO waiting (org_id, record_id, captured_at, capture_id, rule, rule_version, object,
                             parents, expires_at)
        SELECT org_id, record_id || number, captured_at, capture_id, rule, rule_version, object,
               ARRAY['001' || number], expires_at
        FROM waiting, generate_series(1, 10000) AS number"""
    )
    await pool.execute("ANALYZE waiting")
    await sweep.once()
    plan = await pool.fetch(
        "EXPLAIN SELECT FROM waiting WHERE state = 'waiting' AND waiting_id > 9000"
    )
    assert "waiting_open" in str(plan)
    started = time.monotonic()
    await sweep.once()
    took_s = time.monotonic() - started
    assert took_s < 1, "a sweep takes its second"
    await changed(processor, None, account("Tech"))
    await sweep.once()
    assert len(await fired(pool)) == 1
