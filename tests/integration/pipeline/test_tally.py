"""What a process counted is told in one statement, and an outage of the database costs it alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from pipeline import metrics
from pipeline import tally as module
from pipeline.database import open_pool
from pipeline.objects import SObject
from pipeline.settings import Database, Secret
from pipeline.tally import ProcessKind, Tally, Waiting
from tests.integration.ingest.outage import database_away
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection, Pool

TOLD = "SELECT * FROM tally ORDER BY object"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url)), "test") as opened:
        yield opened


async def told_once(tally: Tally) -> None:
    stop = asyncio.Event()
    stop.set()
    await tally.run(stop)


async def test_what_grew_is_told_by_object_and_added_up_within_a_minute(pool: Pool) -> None:
    tally = Tally(pool, ProcessKind.WORKER, [SObject.LEAD])
    committed = metrics.changes_committed.labels(SObject.LEAD)
    waited = metrics.receive_to_commit_seconds.labels(SObject.LEAD)
    for count in (2, 3):
        committed.inc(count)
        waited.observe(0.04)
        waited.observe(400)
        await told_once(tally)

    rows = await pool.fetch(TOLD)
    assert {row["object"] for row in rows} == {"Lead"}
    assert sum(row["committed_count"] for row in rows) == 5
    latency = [sum(places) for places in zip(*(row["commit_latency"] for row in rows), strict=True)]
    within = module.LATENCY_BOUNDS_S.index(0.05)
    assert {place: count for place, count in enumerate(latency) if count} == {within: 2, 15: 2}
    assert sum(map(sum, (row["send_latency"] for row in rows))) == 0


async def test_a_telling_is_one_statement_whatever_was_counted(database_url: str) -> None:
    statements: list[str] = []

    async def listen(connection: Connection) -> None:
        connection.add_query_logger(lambda query: statements.append(query.query))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, init=listen) as counted:
        tally = Tally(counted, ProcessKind.INGEST)
        for sobject in SObject:
            metrics.changes_accepted.labels(sobject).inc()
        await tally.tell()
        assert len([one for one in statements if "tally" in one]) == 1


async def test_a_process_says_that_it_runs_and_that_it_ended(pool: Pool) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(Tally(pool, ProcessKind.WORKER, [SObject.TASK]).run(stop))
    async with asyncio.timeout(20):
        while not (rows := await pool.fetch("SELECT * FROM process")):
            pass
    assert (rows[0]["kind"], rows[0]["objects"], rows[0]["ended_at"]) == ("worker", ["Task"], None)
    stop.set()
    await running
    (row,) = await pool.fetch("SELECT * FROM process")
    assert row["ended_at"] is not None


async def test_how_queues_stand_is_told_as_it_was_last(pool: Pool) -> None:
    stands = {SObject.LEAD: Waiting(7, 1000)}
    tally = Tally(pool, ProcessKind.WORKER, [SObject.LEAD], lambda: stands)
    await tally.tell()
    stands = {SObject.LEAD: Waiting(3, None)}
    await tally.tell()
    rows = await pool.fetch("SELECT in_hand_count, waits_since FROM tally ORDER BY minute")
    assert rows[-1]["in_hand_count"] == 3
    assert {row["waits_since"] for row in rows} >= {1000}


async def test_an_outage_is_logged_and_what_was_counted_in_it_is_dropped(
    pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_EVERY_S", 0.02)
    sent = metrics.outbox_deliveries.labels(SObject.LEAD, "delivered")
    stop = asyncio.Event()
    with capture_logs() as logs:
        async with database_away(database_url):
            running = asyncio.create_task(Tally(pool, ProcessKind.RELAY).run(stop))
            sent.inc(100)
            await until(lambda: len(logs) > 2)
        async with asyncio.timeout(20):
            while not await pool.fetch("SELECT FROM process"):
                pass
        sent.inc()
        stop.set()
        await running
    assert {log["event"] for log in logs} == {"tally_dropped"}
    assert await pool.fetchval("SELECT sum(sent_count) FROM tally") == 1
