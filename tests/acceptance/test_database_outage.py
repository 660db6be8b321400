"""PostgreSQL stopped, killed or frozen: an outage, not an error. Nothing is dead, nothing lost.

The database is these tests' own. No process is started again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from ops.stack import PrivatePostgres
from tests.load import Load
from tests.salesforce import Salesforce, callout
from tests.servers import (
    LoopThread,
    database_at,
    execute,
    migrated,
    new_name,
    open_folder,
    roomy,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes import PenstockProcesses, Running

UNKNOWN_ORG_ID: Final = "00D5g000004OthrEAA"
OUTAGE_S: Final = {"stop": 20.0, "kill": 3.0}


class Database:
    """The server under attack, from a test's own loop."""

    def __init__(self, server: PrivatePostgres, loop: LoopThread) -> None:
        self.server = server
        self._loop = loop

    async def run(self, step: str) -> None:
        """Run `start`, `stop` or `kill` of the server."""
        await asyncio.to_thread(lambda: self._loop.run(getattr(self.server, step)()))


@pytest.fixture(scope="module")
def database(server_loop: LoopThread) -> Iterator[Database]:
    with open_folder(roomy()) as folder:
        server = PrivatePostgres(folder / "postgres")
        server_loop.run(server.start())
        try:
            yield Database(server, server_loop)
        finally:
            server_loop.run(server.stop())


@pytest.fixture
def database_url(database: Database, server_loop: LoopThread) -> str:
    """Stand in for the session's database."""
    name = new_name("test")
    url = database_at(database.server.url, name)
    server_loop.run(execute(database.server.url, f"CREATE DATABASE {name}"))
    server_loop.run(migrated(url))
    return url


async def ready_checks(penstock: PenstockProcesses, running: Running) -> dict[str, str]:
    async with penstock.session.get(f"{running.admin_url}/readyz") as response:
        checks: dict[str, str] = (await response.json())["checks"]
        return checks


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_an_outage_is_waited_for_while_ingest_goes_on(
    penstock: PenstockProcesses, database: Database, how: str
) -> None:
    await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    stranger = Salesforce(penstock, org.secret, UNKNOWN_ORG_ID)
    worker = await penstock.start_worker("lead")
    second = await penstock.start_worker("lead")
    assert (await stranger.send(callout([]))).status == 403

    async with Load(org, sender_count=4) as load:
        await load.until_accepted(100)
        await database.run(how)
        began = time.monotonic()
        async with asyncio.timeout(10):
            while (response := await stranger.send(callout([]))).status == 403:
                pass
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        async with asyncio.timeout(10):
            while (await ready_checks(penstock, worker))["database"] == "ok":
                pass
        # One that is stopped meanwhile gives its deliveries back for the other to take.
        assert await second.terminate() == 0
        while time.monotonic() - began < OUTAGE_S[how]:
            await load.until_accepted(10)
        await database.run("start")
        await load.until_accepted(50)
    assert load.answers.keys() == {202}
    assert not load.unanswered
    await load.assert_kept_once(penstock)
    os.kill(worker.pid, 0)
    assert '"holding"' in worker.log
    async with asyncio.timeout(10):
        while (await stranger.send(callout([]))).status != 403:
            pass


async def test_no_process_waits_for_a_frozen_database_to_end(
    penstock: PenstockProcesses, database: Database
) -> None:
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    patient = await penstock.start_worker("lead", PENSTOCK_WORKER__DRAIN_S="1")
    hurried = await penstock.start_worker("lead")
    sessions = await penstock.fetch(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'penstock worker%'"
    )
    assert database.server.pid
    frozen = [database.server.pid, *(row["pid"] for row in sessions)]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with Load(org, limit=200) as load:
            await load.sent()
        assert load.answers == {202: 200}
        assert await took_s(ingest) < 10
        # One signal drains for as long as was set, and gives up then.
        assert await took_s(patient) < 10
        # Two end it at once.
        ending = asyncio.create_task(hurried.terminate())
        await until(lambda: '"draining"' in hurried.log)
        os.kill(hurried.pid, signal.SIGTERM)
        started = time.monotonic()
        assert await ending != 0
        assert time.monotonic() - started < 10
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    await penstock.start_worker("lead")
    await load.assert_kept_once(penstock)


async def took_s(ending: Running) -> float:
    """Send SIGTERM; return the seconds until the process has ended well."""
    started = time.monotonic()
    assert await ending.terminate() == 0, ending.log
    return time.monotonic() - started
