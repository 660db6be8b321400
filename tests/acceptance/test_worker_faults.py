"""Workers that are killed, stopped and hurried: every change has its effects once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from tests.load import Load
from tests.salesforce import Salesforce
from tests.servers import until

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

CHANGES: Final = "SELECT count(*) FROM change"


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    await penstock.start_ingest()
    return await Salesforce.connect(penstock)


async def until_kept(penstock: PenstockProcesses, at_least: int) -> None:
    async with asyncio.timeout(30):
        while (await penstock.fetch(CHANGES))[0][0] < at_least:
            pass


async def test_a_worker_that_is_killed_in_the_middle_loses_and_repeats_nothing(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    count = 5000
    async with Load(org, sender_count=60, limit=count) as load:
        for killed_at in (500, 2000):
            worker = await penstock.start_worker("lead")
            await until_kept(penstock, killed_at)
            await worker.kill()
        await penstock.start_worker("lead")
        await load.sent()
    assert len(load.accepted) == count
    await load.assert_kept_once(penstock)


async def test_a_worker_that_is_stopped_under_load_returns_what_it_has_not_settled(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    async with Load(org) as load:
        for _ in range(2):
            worker = await penstock.start_worker("lead")
            await load.until_accepted(300)
            assert await worker.terminate() == 0
            assert '"event":"drained"' in worker.log
            await load.until_accepted(100)
        await penstock.start_worker("lead")
    await load.assert_kept_once(penstock)
    assert load.answers.keys() == {202}


async def test_the_second_signal_kills_a_worker_at_once(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    blocker = await asyncpg.connect(penstock.environment["PENSTOCK_DATABASE__URL"])
    try:
        await blocker.execute("BEGIN; LOCK TABLE record IN ACCESS EXCLUSIVE MODE")
        worker = await penstock.start_worker("lead")
        async with Load(org, limit=50) as load:
            await load.sent()
        async with asyncio.timeout(10):
            while not await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        ending = asyncio.create_task(worker.terminate())
        await until(lambda: '"draining"' in worker.log)
        assert not (await asyncio.wait({ending}, timeout=1))[0], "it waits for its batch"
        os.kill(worker.pid, signal.SIGTERM)
        started = time.monotonic()
        assert await ending != 0
        assert time.monotonic() - started < 10
    finally:
        await blocker.close()
    await penstock.start_worker("lead")
    await load.assert_kept_once(penstock)


async def test_an_ingest_that_is_stopped_under_load_answers_all_that_it_took(
    penstock: PenstockProcesses,
) -> None:
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    await penstock.start_worker("lead")
    async with Load(org, sender_count=40) as load:
        await load.until_accepted(500)
        assert await ingest.terminate() == 0
        assert load.answers.keys() == {202}
        # Until the next one has read the registry it answers 503.
        port = penstock.ingest_url.rpartition(":")[2]
        await penstock.start_ingest(PENSTOCK_INGEST__PORT=port)
        await load.until_accepted(200)
    await load.assert_kept_once(penstock)
    unanswered = sorted(load.unanswered)
    kept = await penstock.fetch("SELECT FROM change WHERE capture_id = ANY($1)", unanswered)
    assert not kept, "taken, and not answered"
