"""The console's process: wiring, serving, draining."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from ops.console.app import application
from ops.console.context import CONTEXT
from pipeline.admin import AdminServer, listen
from pipeline.database import DatabaseWatch, open_pool
from pipeline.lifecycle import run_until_stopped
from pipeline.tally import ProcessKind, Tally

if TYPE_CHECKING:
    import asyncio

    from pipeline.settings import Settings

log = structlog.get_logger()

_DRAIN_S = 5.0


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
