"""Channels that deliveries come in on: told when the broker ends them, closed in any state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel
    from pamqp.commands import Basic

log = structlog.get_logger()

CLOSE_TIMEOUT_S: Final = 10.0


async def told_of_cancels(channel: AbstractChannel) -> asyncio.Event:
    """Return an event that is set once the broker cancels a consumer, as when a queue is deleted.

    The channel stays open then, and would wait for ever for deliveries that nobody sends.
    """
    cancelled = asyncio.Event()

    def on_cancel(frame: Basic.Cancel) -> None:
        log.warning("consumer_cancelled", consumer_tag=frame.consumer_tag)
        cancelled.set()

    underlay = await channel.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(on_cancel)
    return cancelled


async def close(channel: AbstractChannel) -> None:
    """Close a channel, in whatever state it is; what it has not settled goes back to its queue."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await channel.close()
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        # The channel died before it could be closed: its deliveries are back all the same.
        log.debug("channel_gone", error=error)
