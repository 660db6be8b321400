"""The runs that this console drives, beside its pages and at most two at a time."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

import structlog

from ops import bulk_runs
from ops.errors import OpsError
from ops.run_kinds import work_of
from pipeline.database import DATABASE_ERRORS
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from pipeline.database import Pool
    from pipeline.settings import Settings

log = structlog.get_logger()

# Each holds a connection for most of its time.
_AT_ONCE: Final = 2
# Who pauses what is under way when the console ends.
_SELF: Final = "console"


class Drivers:
    """Drives runs until they are over, paused or cancelled, by whomever.

    One whose console was killed says running while nobody drives it: resuming takes it up.
    """

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._stop = asyncio.Event()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def begin(self, run: BulkRun) -> None:
        """Drive a run as soon as it is its turn."""
        if run.id not in self._tasks and not self._stop.is_set():
            self._tasks[run.id] = asyncio.create_task(self._drive(run))

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for `stop`, then let the steps under way end and pause the runs."""
        await stop.wait()
        self._stop.set()
        await asyncio.gather(*self._tasks.values())

    async def _drive(self, run: BulkRun) -> None:
        driver = f"console on {socket.gethostname()} pid {os.getpid()}"
        try:
            async with self._turn, work_of(run.kind, self._settings) as work:
                ended = await bulk_runs.drive(
                    self._pool, run.id, work, self._stop, driver=driver, tell=_tell
                )
            if ended.state is bulk_runs.RunState.RUNNING:
                async with self._pool.acquire() as connection:
                    await bulk_runs.pause(connection, run.id, actor=_SELF)
        except (OpsError, TransientError, *DATABASE_ERRORS) as error:
            # The run's page tells its state, and why it failed if it did.
            log.warning("run_left", run_id=run.id, error=error)
        finally:
            del self._tasks[run.id]


def _tell(run: BulkRun, held_for: str | None) -> None:
    if held_for is not None:
        log.warning("run_held", run_id=run.id, reason=held_for)
