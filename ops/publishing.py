"""A publisher for as long as a command replays."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final

from pipeline.broker import Publisher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable

    from pipeline.settings import Settings

_PUBLISH_TIMEOUT_S: Final = 5.0
_CONNECT_S: Final = 5.0


@contextlib.asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Publisher]:
    """Yield a publisher that stays connected; at first it is waited for, for at most 5 s."""
    name = f"penstock replay {os.getpid()}"
    publisher = Publisher(settings.broker.url, name, _PUBLISH_TIMEOUT_S)
    stop = asyncio.Event()
    connected = asyncio.create_task(publisher.run(stop))
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_S):
                await publisher.until_connected()
        yield publisher
    finally:
        stop.set()
        await connected


async def all_confirmed(publishing: Iterable[Awaitable[None]]) -> None:
    """Publish side by side; return once every message is confirmed.

    Raises:
        BrokerUnavailable: one was not; nothing of the others is under way any more.
    """
    for answer in await asyncio.gather(*publishing, return_exceptions=True):
        if answer is not None:
            raise answer
