"""A relay in this process, with targets that do as they are told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web

from ops.stack.ports import free_port
from pipeline import settings as tree
from pipeline.signing import new_secret
from tests.mixmax import TOKEN, Mixmax
from tests.webhook import Webhooks
from workers.relay.service import Relay
from workers.relay.targets.open_targets import open_targets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from pipeline.database import Pool

    OpenRelay = Callable[..., AbstractAsyncContextManager[Relay]]


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serve on loopback; yield the URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    target = Webhooks(new_secret())
    async with serving(target.app) as url:
        target.url = url
        yield target
        target.go_on.set()


@pytest.fixture
async def mixmax() -> AsyncIterator[Mixmax]:
    target = Mixmax()
    async with serving(target.app) as url:
        target.url = url
        yield target


@pytest.fixture
def relay_settings(webhooks: Webhooks, mixmax: Mixmax) -> tree.Relay:
    """Settings with both targets, in no hurry to be polite."""
    return tree.Relay(
        webhook_url=f"{webhooks.url}/enrollments",
        webhook_secret=tree.Secret(webhooks.secret),
        mixmax_url=mixmax.url,
        mixmax_token=tree.Secret(TOKEN),
        timeout_s=1.0,
        requests_per_s=1000,
    )


@pytest.fixture
def open_relay(pool: Pool, relay_settings: tree.Relay) -> OpenRelay:
    """What opens a relay to both targets, with other settings."""

    @asynccontextmanager
    async def open_one(**changed: Any) -> AsyncIterator[Relay]:
        settings = msgspec.structs.replace(relay_settings, **changed)
        async with open_targets(settings) as targets:
            yield Relay(tree.Settings(relay=settings), pool, targets)

    return open_one


@pytest.fixture
async def relay(open_relay: OpenRelay) -> AsyncIterator[Relay]:
    async with open_relay() as opened:
        yield opened
