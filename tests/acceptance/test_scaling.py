"""Workers come and go amid load; nothing is lost, doubled or left to wait."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ops.stack.processes import children_of
from tests.load import Load
from tests.salesforce import Salesforce
from tests.servers import until

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses, Running

TELL = "SELECT count(*) FROM process WHERE kind = 'worker' AND pid = ANY($1)"


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    await penstock.start_ingest()
    return await Salesforce.connect(penstock)


async def start_several(penstock: PenstockProcesses, count: int) -> Running:
    """Start several processes with one command, and wait until each tells of itself."""
    options = ("--object", "lead", "--concurrency", str(count), "--prefetch", "16", "--batch", "50")
    any_port = {"PENSTOCK_WORKER__ADMIN_PORT": "0"}
    worker = await penstock.launch("worker", "WORKER", any_port, *options)
    await until(lambda: len(children_of(worker.pid)) == count)
    await penstock.until_counted(count, TELL, children_of(worker.pid))
    return worker


async def test_workers_come_and_go_amid_load(penstock: PenstockProcesses, org: Salesforce) -> None:
    async with Load(org) as load:
        first = await penstock.start_worker("lead")
        await load.until_accepted(200)
        several = await start_several(penstock, 2)
        second = await penstock.start_worker()
        await load.until_accepted(200)
        assert await first.terminate() == 0
        await load.until_accepted(200)
        await second.kill()
        await load.until_accepted(200)
        assert await several.terminate() == 0
        await load.until_accepted(100)
        await penstock.start_worker("lead")
        await load.until_accepted(100)
    await load.assert_kept_once(penstock)
    assert load.answers.keys() == {202}
    told = (await penstock.run("flow", "--json", "--drain-within", "1m")).json()
    leads = next(one for one in told["objects"] if one["object"] == "Lead")
    assert leads["consumer_count"] == 1
    assert sum(minute["accepted_count"] for minute in leads["minutes"]) > 0
    (drain,) = [one for one in told["drain"] if one["object"] == "Lead"]
    assert drain["within_s"] == 60
    assert drain["workers_needed"] is not None
    states = {one["pid"]: one["state"] for one in told["processes"]}
    assert states[first.pid] == "ended"


async def test_the_processes_of_one_worker_end_together(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    async with Load(org) as load:
        worker = await start_several(penstock, 2)
        one, other = children_of(worker.pid)
        await load.until_accepted(200)
        os.kill(one, signal.SIGKILL)
        assert await worker.ended() == 1
        assert '"event":"ended_unasked"' in worker.log
        assert '"event":"drained"' in worker.log
        assert not is_alive(other)

        again = await start_several(penstock, 2)
        children = children_of(again.pid)
        await again.kill()
        await until(lambda: not any(map(is_alive, children)))
        await penstock.start_worker("lead")
        await load.until_accepted(100)
    await load.assert_kept_once(penstock)


async def test_options_that_make_no_sense_are_refused(penstock: PenstockProcesses) -> None:
    for options, told in (
        (
            ("--prefetch", "500"),
            "--prefetch: 500 messages of up to 256 KiB are more than the 32 MiB",
        ),
        (("--concurrency", "0"), "--concurrency: Expected `int` >= 1"),
        (("--batch", "0"), "--batch: Expected `int` >= 1"),
    ):
        refused = await penstock.run("worker", *options)
        assert refused.returncode == 2
        assert told in refused.stderr


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
