"""The admin port of every process: `/healthz` (alive), `/readyz` (can do its work), `/metrics`."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Self

import structlog
from aiohttp import web
from prometheus_client import generate_latest

from pipeline import metrics
from pipeline.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A check returns None when all is well, else what is wrong, in words.
    Check = Callable[[], str | None]

log = structlog.get_logger()


class AdminServer:
    """Serves health and metrics for the process it runs in. Port 0 takes any free port."""

    def __init__(self, host: str, port: int, checks: Mapping[str, Check]) -> None:
        self._host = host
        self._port = port
        self._checks = checks
        self._runner = web.AppRunner(self._app(), access_log=None)

    async def __aenter__(self) -> Self:
        await listen(self._runner, self._host, self._port)
        for name, check in self._checks.items():
            metrics.check_failing.labels(name).set_function(partial(_failing, check))
        log.info("admin_listening", address=self._runner.addresses[0])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, _: web.Request) -> web.Response:
        problems = {name: check() for name, check in self._checks.items()}
        ready = not any(problems.values())
        body = {"ready": ready, "checks": {name: why or "ok" for name, why in problems.items()}}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _failing(check: Check) -> float:
    return float(check() is not None)


async def listen(runner: web.AppRunner, host: str, port: int) -> web.TCPSite:
    """Serve on an address; return what can be stopped.

    Raises:
        SettingsError: nobody can listen there: the port is taken or the address is not ours.
    """
    await runner.setup()
    site = web.TCPSite(runner, host, port, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise cannot_listen(host, port, error) from error
    return site


def cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    """Say why nobody can listen on an address."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return SettingsError(f"cannot listen on {host}:{port}: {reason}")
