"""A replay by filter that is killed, paused or cancelled loses nothing and doubles no effect.

`DEAD_LETTERS=100000 make test ARGS='-s tests/acceptance/test_dead_replay.py --timeout=900'` tells
it of a hundred thousand, of which 40,000 are replayed, and prints what it took.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from tests.dead_letters import fill
from tests.salesforce import Salesforce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import PenstockProcesses

COUNT: Final = int(os.environ.get("DEAD_LETTERS", "3000"))
# Two of each five are leads.
OBJECTS: Final = ("Lead", "Contact", "Lead", "Task", "Event")
LEAD_COUNT: Final = COUNT * 2 // 5
RATE_PER_S: Final = max(400, LEAD_COUNT // 8)
WAIT_S: Final = 60 + LEAD_COUNT / 100
RULE: Final = """\
rule: working-to-nurture
object: Lead
on: [update]
max_age: 30d
ceiling: 1000000
when: [{field: Status, changed_to: Working}]
then: [{add_to_sequence: nurture, recipient: Email}]
"""
DONE: Final = "SELECT coalesce(max(done_count), 0) FROM bulk_run"
STATES: Final = "SELECT state, count(*) FROM dead_letter WHERE object = 'Lead' GROUP BY state"


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    """An org that has a rule, many dead letters, and a worker that could process them by now."""
    await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules=RULE)
    url = penstock.environment["PENSTOCK_DATABASE__URL"]
    async with asyncpg.create_pool(url, min_size=0, max_size=1) as pool:
        await fill(pool, COUNT, objects=OBJECTS)
    await penstock.start_worker()
    return org


@contextlib.asynccontextmanager
async def replaying(
    penstock: PenstockProcesses, *options: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a replay, and have it a third done within the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "dead", "replay", *options, "--apply"),
        *("--rate", str(RATE_PER_S)),
        env=penstock.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while (await penstock.fetch(DONE))[0][0] < LEAD_COUNT // 3:
                assert process.returncode is None
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def states(penstock: PenstockProcesses) -> dict[str, int]:
    return {row["state"]: row["count"] for row in await penstock.fetch(STATES)}


async def until_had(penstock: PenstockProcesses, count: int) -> None:
    """Return once the replayed changes have had their effects, each once."""
    async with asyncio.timeout(WAIT_S):
        await until_counted(penstock, count, "SELECT count(*) FROM change")
        await until_counted(penstock, count, "SELECT count(*) FROM enrollment")
    for table in ("firing", "outbox", "record"):
        await penstock.until_counted(count, f"SELECT count(*) FROM {table}")  # noqa: S608  ours
    assert (await penstock.fetch("SELECT count(DISTINCT record_id) FROM change"))[0][0] == count
    # Nothing failed a second time, and nobody but the filter's was touched.
    assert await penstock.fetch("SELECT FROM dead_letter WHERE attempts > 1") == []
    others = "SELECT count(*) FROM dead_letter WHERE object <> 'Lead' AND state = 'open'"
    await penstock.until_counted(COUNT - LEAD_COUNT, others)


async def until_counted(penstock: PenstockProcesses, count: int, query: str) -> None:
    while (await penstock.fetch(query))[0][0] < count:
        pass


@pytest.mark.timeout(900)
async def test_a_replay_that_is_killed_at_a_third_is_resumed_and_every_letter_replayed_once(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    assert org.org_id
    planned = (await penstock.run("dead", "replay", "--object", "lead", "--json")).json()
    assert planned["total_count"] == LEAD_COUNT
    assert await states(penstock) == {"open": LEAD_COUNT}

    started = time.monotonic()
    async with replaying(penstock, "--object", "lead") as process:
        process.kill()
        await process.wait()
    killed_s = time.monotonic() - started
    # What was not confirmed and committed is still there.
    left = await states(penstock)
    assert left["open"] + left["replayed"] == LEAD_COUNT
    assert left["open"] > LEAD_COUNT // 3

    (run,) = (await penstock.run("runs", "list", "--json")).json()
    assert (run["state"], run["done_count"]) == ("running", left["replayed"])
    resumed = await penstock.run("runs", "resume", str(run["id"]))
    assert resumed.returncode == 0, resumed.stderr
    told = f"run {run['id']} is finished: {LEAD_COUNT:,} of {LEAD_COUNT:,} done"
    assert resumed.stdout.decode().startswith(told), resumed.stdout
    assert await states(penstock) == {"replayed": LEAD_COUNT}
    await until_had(penstock, LEAD_COUNT)
    print(  # noqa: T201  the measurement
        f"{LEAD_COUNT:,} of {COUNT:,}: killed at {left['replayed']:,} after {killed_s:.1f} s, all"
        f" replayed and processed after {time.monotonic() - started:.1f} s"
    )
    resumption, begun = (await penstock.run("actions", "--json")).json()
    assert (resumption["action"], resumption["run_id"]) == ("run_resume", run["id"])
    assert (begun["action"], begun["run_id"]) == ("dead_replay", run["id"])
    assert begun["outcome"] == f"finished, {LEAD_COUNT} done"
    assert begun["parameters"]["filter"] == {"object": "Lead"}


@pytest.mark.timeout(900)
async def test_a_replay_is_paused_by_ctrl_c_and_cancelled_from_elsewhere(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    assert org.org_id
    async with replaying(penstock, "--object", "lead") as process:
        process.send_signal(signal.SIGINT)
        stdout, _ = await process.communicate()
        assert process.returncode == 0
    (run,) = (await penstock.run("runs", "list", "--json")).json()
    assert f"`penstock runs resume {run['id']}` goes on" in stdout.decode()
    assert (run["state"], run["driven_by"]) == ("paused", None)
    assert (await states(penstock))["replayed"] == run["done_count"] < LEAD_COUNT

    cancelled = (await penstock.run("runs", "cancel", str(run["id"]), "--json")).json()
    assert cancelled["state"] == "cancelled"
    refused = await penstock.run("runs", "resume", str(run["id"]))
    assert refused.returncode == 1
    assert "is cancelled, so it cannot be resumed" in refused.stderr
    await until_had(penstock, run["done_count"])
    left = await states(penstock)
    assert left == {"replayed": run["done_count"], "open": LEAD_COUNT - run["done_count"]}
