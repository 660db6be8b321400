"""Runs that the console drives end with it in order, and go on in the next one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ops import actions, bulk_runs, dead_letters
from ops.actions import Action
from ops.bulk_runs import RunKind, RunState
from ops.console.drivers import Drivers
from ops.dead_letters import DeadFilter
from pipeline.settings import Settings
from tests.dead_letters import fill

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection, Pool

COUNT = 60


async def reached(connection: Connection, run: BulkRun, count: int) -> None:
    """Return once the run has dealt with so many."""
    async with asyncio.timeout(20):
        while (await bulk_runs.show(connection, run.id)).done_count < count:  # noqa: ASYNC110  steps set no event of ours
            await asyncio.sleep(0.02)


async def test_a_run_is_paused_when_the_console_ends_and_goes_on_in_the_next(
    connection: Connection, pool: Pool
) -> None:
    await fill(pool, COUNT)
    planned = await dead_letters.plan(
        connection, RunKind.DEAD_DISCARD, DeadFilter(), retention_days=90
    )
    run = await dead_letters.begin(connection, planned, actor="ada", rate_per_s=80)
    for is_last in (False, True):
        drivers, stop = Drivers(Settings(), pool), asyncio.Event()
        drivers.begin(run)
        served = asyncio.create_task(drivers.run(stop))
        await reached(connection, run, COUNT if is_last else 1)
        stop.set()
        await served
        if not is_last:
            left = await bulk_runs.show(connection, run.id)
            assert left.state is RunState.PAUSED
            assert left.done_count < COUNT
            run = await bulk_runs.resume(connection, run.id, actor="ada")
    ended = await bulk_runs.show(connection, run.id)
    assert ended.done_count == COUNT
    done = await actions.listing(connection, limit=9)
    assert (Action.RUN_PAUSE, "console") in [(one.action, one.actor) for one in done]
