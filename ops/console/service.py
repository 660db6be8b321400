"""The console's process: wiring, serving, draining."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from ops.console.app import application
from ops.console.context import CONTEXT
from pipeline.admin import AdminServer, listen
from pipeline.database import DATABASE_ERRORS, open_pool, require_migrated
from pipeline.errors import TransientError
from pipeline.lifecycle import run_until_stopped, wait_or_stop
from pipeline.tally import ProcessKind, Tally

if TYPE_CHECKING:
    from pipeline.database import Pool
    from pipeline.settings import Settings

log = structlog.get_logger()

_LOOK_EVERY_S = 2.0
_DRAIN_S = 5.0


class DatabaseWatch:
    """Looks every 2 s whether the database answers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._problem: str | None = "the database was not asked yet"

    def problem(self) -> str | None:
        """Say why pages would not come, if they would not."""
        return self._problem

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        while True:
            try:
                async with asyncio.timeout(_DRAIN_S):
                    async with self._pool.acquire() as connection:
                        await require_migrated(connection)
                        await connection.fetchval("SELECT true FROM console_token LIMIT 1")
            except TransientError as error:
                self._problem = str(error)
            except DATABASE_ERRORS as error:
                self._problem = f"{type(error).__name__}: {error}"
            else:
                self._problem = None
            if await wait_or_stop(stop, _LOOK_EVERY_S):
                return


async def run(settings: Settings) -> None:
    """Serve the console until a signal, then let what is under way end."""
    console = settings.console
    async with open_pool(settings.database, "penstock console") as pool:
        watch = DatabaseWatch(pool)
        app = application(settings, pool)
        context = app[CONTEXT]

        async def serve(stop: asyncio.Event) -> None:
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_DRAIN_S)
            await listen(runner, console.host, console.port)
            log.info("console_listening", address=runner.addresses[0])
            try:
                await stop.wait()
            finally:
                context.stop.set()
                await runner.cleanup()

        async with AdminServer(console.admin_host, console.admin_port, {"database": watch.problem}):
            tally = Tally(pool, ProcessKind.CONSOLE)
            await run_until_stopped(
                {
                    "console": serve,
                    "database": watch.run,
                    "tally": tally.run,
                    "runs": context.drivers.run,
                }
            )
    log.info("drained")
