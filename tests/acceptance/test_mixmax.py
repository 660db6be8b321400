"""The relay's process against a Mixmax that fails: enrolments end right, nobody is added twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from ops.stack.ports import free_port
from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.mixmax import TOKEN, Mixmax
from tests.outbox_rows import add, leave, standing, told, treat
from tests.processes import PenstockProcesses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.database import Pool
    from tests.starting import Forks

OPEN = "SELECT count(*) FROM outbox WHERE state = 'open'"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url)), "test") as opened:
        yield opened


@pytest.fixture
async def mixmax() -> AsyncIterator[Mixmax]:
    target = Mixmax()
    runner = web.AppRunner(target.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    target.url = f"http://127.0.0.1:{port}"
    yield target
    await runner.cleanup()


@pytest.fixture
async def penstock(
    database_url: str, mixmax: Mixmax, tmp_path: Path, forks: Forks
) -> AsyncIterator[PenstockProcesses]:
    """Processes that need no broker, with no webhook set."""
    environment = {
        "PENSTOCK_DATABASE__URL": database_url,
        "PENSTOCK_LOG__FORMAT": "json",
        "PENSTOCK_RELAY__MIXMAX_URL": mixmax.url,
        "PENSTOCK_RELAY__MIXMAX_TOKEN": TOKEN,
        "PENSTOCK_RELAY__LEASE_S": "2",
        "PENSTOCK_RELAY__TIMEOUT_S": "1",
    }
    async with PenstockProcesses(environment, tmp_path, start=forks) as processes:
        yield processes


async def test_through_every_status_and_failure_everybody_ends_right_and_once(
    pool: Pool, penstock: PenstockProcesses, mixmax: Mixmax
) -> None:
    for sequence in ("one", "two", "three"):
        await treat(pool, sequence=sequence, target="mixmax", target_id=f"id-{sequence}")
        names = [f"{name}@{sequence}.org" for name in ("fine", "gone", "error")]
        await add(pool, *names, sequence=sequence, target="mixmax")
        mixmax.statuses |= {names[1]: "unsubscribed", names[2]: "error"}
    # Who was there before us is none the worse for it.
    (before,) = await add(pool, "before@one.org", sequence="one", target="mixmax")
    mixmax.added["id-one", "before@one.org"] = 1
    mixmax.fails = ["429", "500", "lost answer"]

    relay = await penstock.start_relay()
    await penstock.until_counted(0, OPEN)
    await leave(pool, before, target="mixmax")
    await penstock.until_counted(0, OPEN)
    assert await relay.terminate() == 0

    assert list(mixmax.twice()) == []
    ends = {recipient: (state, reason) for recipient, state, reason in await standing(pool)}
    for sequence in ("one", "two", "three"):
        assert mixmax.added[f"id-{sequence}", f"fine@{sequence}.org"] == 1
        assert ends[f"fine@{sequence}.org"] == ("active", None)
        assert ends[f"gone@{sequence}.org"] == ("failed", "unsubscribed")
        assert ends[f"error@{sequence}.org"] == ("failed", "variable missing")
    assert ends["before@one.org"] == ("exited", "exited: rule r")
    assert mixmax.cancelled == {("id-one", "before@one.org")}
    assert len(mixmax.requests) == 7
    assert TOKEN not in relay.log


async def test_a_relay_that_is_killed_while_mixmax_acts_adds_nobody_twice(
    pool: Pool, penstock: PenstockProcesses, mixmax: Mixmax
) -> None:
    mixmax.fails = ["hang after"]
    await add(pool, "ana@x.org", target="mixmax")
    first = await penstock.start_relay()
    async with asyncio.timeout(10):
        await mixmax.acted.wait()
    await first.kill()
    await penstock.start_relay()
    await penstock.until_counted(0, OPEN)
    assert await told(pool) == [("ana@x.org", "delivered")]
    assert mixmax.added["nurture", "ana@x.org"] == 1
    assert len(mixmax.requests) == 2
