"""What RabbitMQ says of the queues: how much waits, and how many consume."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aio_pika.exceptions import ChannelNotFoundEntity

from pipeline import topology

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

    from pipeline.objects import SObject


class Queue(msgspec.Struct, frozen=True):
    """An object's queue: messages that wait, who consumes, and what its dead queue holds."""

    depth_count: int
    consumer_count: int
    dead_count: int


async def read_queue(connection: AbstractConnection, sobject: SObject) -> Queue | None:
    """Ask for one object's queues; None if they were not declared yet."""
    # A queue that is not there closes the channel that asked for it.
    async with connection.channel() as channel:
        try:
            waiting = await channel.declare_queue(topology.queue_name(sobject), passive=True)
            dead = await channel.declare_queue(topology.dead_queue_name(sobject), passive=True)
        except ChannelNotFoundEntity:
            return None
    told, buried = waiting.declaration_result, dead.declaration_result
    return Queue(
        depth_count=told.message_count or 0,
        consumer_count=told.consumer_count or 0,
        dead_count=buried.message_count or 0,
    )
