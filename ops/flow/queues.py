"""What RabbitMQ says of the queues: how much waits, and how many consume."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelNotFoundEntity

from pipeline import topology
from pipeline.broker import connection_to
from pipeline.objects import SObject

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

    from pipeline.settings import Secret

_NAME: Final = "penstock flow"
_TIMEOUT_S: Final = 10.0


class Queue(msgspec.Struct, frozen=True):
    """An object's queue: messages that wait, who consumes, and what its dead queue holds."""

    depth_count: int
    consumer_count: int
    dead_count: int


class Queues(msgspec.Struct, frozen=True):
    """The queues by object; without a word from RabbitMQ none, and `problem` says why."""

    by_object: dict[SObject, Queue]
    problem: str | None = None


async def read_queues(url: Secret) -> Queues:
    """Ask for every queue, on a connection of its own; at most 10 s."""
    try:
        async with asyncio.timeout(_TIMEOUT_S), connection_to(url, _NAME) as connection:
            return await queues_on(connection)
    except (*CONNECTION_EXCEPTIONS, TimeoutError, OSError) as error:
        return Queues({}, f"RabbitMQ does not answer: {error!r}")


async def queues_on(connection: AbstractConnection) -> Queues:
    """Ask for every queue on a connection."""
    found: dict[SObject, Queue] = {}
    for sobject in SObject:
        # A queue that is not there closes the channel that asked for it.
        async with connection.channel() as channel:
            try:
                waiting = await channel.declare_queue(topology.queue_name(sobject), passive=True)
                dead = await channel.declare_queue(topology.dead_queue_name(sobject), passive=True)
            except ChannelNotFoundEntity:
                continue
        told, buried = waiting.declaration_result, dead.declaration_result
        found[sobject] = Queue(
            depth_count=told.message_count or 0,
            consumer_count=told.consumer_count or 0,
            dead_count=buried.message_count or 0,
        )
    missing = [topology.queue_name(one) for one in SObject if one not in found]
    if missing:
        return Queues(found, f"not declared yet: {', '.join(missing)}")
    return Queues(found)
