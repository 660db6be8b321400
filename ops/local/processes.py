"""Ingest, worker, relay and console as children of the local stack."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import aiohttp

from ops.stack import Child
from ops.stack.ports import free_port, is_free
from pipeline.settings import FILE, PREFIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from ops.local.target import SampleTarget
    from ops.stack import Said
    from pipeline.settings import Settings

_INGEST_PORT = f"{PREFIX}INGEST__PORT"
_INGEST_ADMIN_PORT = f"{PREFIX}INGEST__ADMIN_PORT"
_WORKER_ADMIN_PORT = f"{PREFIX}WORKER__ADMIN_PORT"
_RELAY_ADMIN_PORT = f"{PREFIX}RELAY__ADMIN_PORT"
_CONSOLE_PORT = f"{PREFIX}CONSOLE__PORT"
_CONSOLE_ADMIN_PORT = f"{PREFIX}CONSOLE__ADMIN_PORT"
WEBHOOK_URL = f"{PREFIX}RELAY__WEBHOOK_URL"
WEBHOOK_SECRET = f"{PREFIX}RELAY__WEBHOOK_SECRET"


def local_environment(
    environment: Mapping[str, str], settings: Settings, target: SampleTarget, said: Said
) -> dict[str, str]:
    """Return the environment of the children: what is not set points at this machine.

    `settings` are those of `environment`.

    A default port that is taken gives way to a free one; a port that was asked for does not.
    """
    chosen = dict(environment)
    for variable, host, port in (
        (_INGEST_PORT, settings.ingest.host, settings.ingest.port),
        (_INGEST_ADMIN_PORT, settings.ingest.admin_host, settings.ingest.admin_port),
        (_CONSOLE_PORT, settings.console.host, settings.console.port),
    ):
        if variable not in chosen and not is_free(port, host):
            chosen[variable] = str(free_port())
            said(f"Port {port} is taken: using {chosen[variable]} (set {variable} to choose)")
    for variable in (_WORKER_ADMIN_PORT, _RELAY_ADMIN_PORT, _CONSOLE_ADMIN_PORT):
        chosen.setdefault(variable, str(free_port()))
    if not settings.relay.webhook_url:
        chosen |= {WEBHOOK_URL: target.url, WEBHOOK_SECRET: target.secret}
        chosen.pop(WEBHOOK_SECRET + FILE, None)
    return chosen


def children(
    environment: Mapping[str, str],
    settings: Settings,
    logs: Path,
    session: aiohttp.ClientSession,
) -> tuple[Child, ...]:
    """Return ingest, worker, relay and console, not yet started; each logs to a file in `logs`."""
    return (
        _child("ingest", settings.ingest.admin_port, environment, logs, session),
        _child("worker", settings.worker.admin_port, environment, logs, session),
        _child("relay", settings.relay.admin_port, environment, logs, session),
        _child("console", settings.console.admin_port, environment, logs, session),
    )


def _child(
    name: str,
    admin_port: int,
    environment: Mapping[str, str],
    logs: Path,
    session: aiohttp.ClientSession,
) -> Child:
    return Child(
        name=name,
        argv=(sys.executable, "-m", "ops", name),
        env=environment,
        log_path=logs / f"{name}.log",
        ready=_ready(f"http://127.0.0.1:{admin_port}/readyz", session),
        ready_timeout_s=60.0,
    )


def _ready(url: str, session: aiohttp.ClientSession) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        try:
            async with session.get(url) as response:
                return response.ok
        except (aiohttp.ClientError, TimeoutError):
            return False

    return ask
