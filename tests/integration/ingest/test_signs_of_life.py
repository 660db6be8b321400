"""Every request counts as a sign of life, and costs next to nothing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest
from structlog.testing import capture_logs

from ingest import signs_of_life as module
from ingest.signs_of_life import SignsOfLife
from tests.changes import OTHER_ORG_ID
from tests.integration.ingest.outage import database_away
from tests.salesforce import ORG_ID
from tests.servers import until

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

HEARD = """
    SELECT org_id, extract(epoch FROM heard_at)::float8 AS heard_at, beat_at FROM heartbeat
    ORDER BY org_id"""


async def test_many_signs_are_one_write_and_the_last_ones_are_written_at_the_end(
    pool: Pool, database_url: str
) -> None:
    statements: list[str] = []

    async def listen(connection: Connection) -> None:
        connection.add_query_logger(lambda query: statements.append(query.query))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, init=listen) as counted:
        signs, stop = SignsOfLife(counted), asyncio.Event()
        running = asyncio.create_task(signs.run(stop))
        for _ in range(100):
            signs.note(ORG_ID)
            signs.note(OTHER_ORG_ID)
            # Deleted meanwhile: nobody's sign.
            signs.note("00D5g000004GoneEAS")
            await asyncio.sleep(0)
        assert await pool.fetch(HEARD) == []
        stop.set()
        await running
        assert len([one for one in statements if "heartbeat" in one]) == 1

    rows = await pool.fetch(HEARD)
    assert {row["org_id"] for row in rows} == {ORG_ID, OTHER_ORG_ID}
    assert all(row["heard_at"] == pytest.approx(time.time(), abs=30) for row in rows)
    assert all(row["beat_at"] is None for row in rows)


async def test_an_older_sign_never_takes_the_place_of_a_newer_one(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs, stop = SignsOfLife(pool), asyncio.Event()
    stop.set()
    for clock in (2000.0, 1000.0, 3000.0):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        signs.note(ORG_ID)
        await signs.run(stop)
    monkeypatch.undo()
    (row,) = await pool.fetch(HEARD)
    assert row["heard_at"] == 3000.0


async def test_signs_are_kept_through_an_outage(
    pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITE_EVERY_S", 0.02)
    signs, stop = SignsOfLife(pool), asyncio.Event()
    with capture_logs() as logs:
        async with database_away(database_url):
            running = asyncio.create_task(signs.run(stop))
            signs.note(ORG_ID)
            await until(lambda: bool(logs))
            signs.note(OTHER_ORG_ID)
            await until(lambda: len(logs) > 2)
        async with asyncio.timeout(20):
            while len(await pool.fetch(HEARD)) < 2:
                pass
        stop.set()
        await running
    assert {log["event"] for log in logs} == {"signs_of_life_held"}
