"""Exchanges and queues, declared by every process that connects and may (it is idempotent).

    penstock.changes ─ lead.* ─▶ penstock.changes.lead ─ dead ─▶ penstock.dead ─▶ penstock.dead.lead
                     └─ # ─────▶ penstock.log (stream, 7 days)
    penstock.replay  ─ lead.* ─▶ penstock.changes.lead, past the log, which has it already

Sources: RabbitMQ documentation, "Quorum Queues" (delivery limit, at-least-once dead-lettering
needs `reject-publish`) and "Streams" (`x-max-age`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aio_pika import ExchangeType
from aio_pika.exceptions import ChannelNotFoundEntity
from aiormq.exceptions import ChannelAccessRefused

from pipeline.objects import Operation, SObject

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
    from pamqp.common import FieldTable

CHANGES: Final = "penstock.changes"
REPLAY: Final = "penstock.replay"
DEAD: Final = "penstock.dead"
LOG: Final = "penstock.log"

MAX_MESSAGE_BYTES: Final = 256 * 1024
# A closed connection charges every delivery it had prefetched, so the limit is far above what a
# crash loop reaches before its change is isolated. -1 means "none" on 4.x and "at once" on 3.10.
DELIVERY_LIMIT: Final = 1000
MAX_QUEUE_BYTES: Final = 16 * 1024**3
LOG_MAX_AGE: Final = "7D"


def queue_name(sobject: SObject) -> str:
    """Return the name of the queue that holds one object's changes."""
    return f"{CHANGES}.{sobject.lower()}"


def dead_queue_name(sobject: SObject) -> str:
    """Return the name of the queue that holds one object's undecodable messages."""
    return f"{DEAD}.{sobject.lower()}"


def routing_key(sobject: SObject, operation: Operation) -> str:
    """Return the routing key of a message, such as `lead.update`."""
    return f"{sobject.lower()}.{operation}"


_BY_NAME: Final = {sobject.lower(): sobject for sobject in SObject}


def object_of(key: str | None) -> SObject | None:
    """Return the object that a routing key begins with, if it is one of Penstock's."""
    return _BY_NAME.get((key or "").partition(".")[0])


def audit_routing_key(sobject: SObject) -> str:
    """Return the routing key of what an org has, for an audit: `lead.audit`."""
    return f"{sobject.lower()}.audit"


# RabbitMQ before 4.0 may forget where a new quorum queue keeps its log when its node is killed
# within a second of the declaration: the file of those names is saved every 500 ms, not at once.
SETTLE_S: Final = 1.5


async def exists(connection: AbstractConnection) -> bool:
    """Tell whether every queue was declared before now."""
    async with connection.channel() as channel:
        try:
            for name in queue_names():
                await channel.declare_queue(name, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def ensure(connection: AbstractConnection) -> None:
    """Declare everything, or see that it is there where this user may not declare.

    Raises:
        aiormq.exceptions.ChannelPreconditionFailed: as `declare`.
        aiormq.exceptions.ChannelNotFoundEntity: this user may not declare what is missing.
    """
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel)
    except ChannelAccessRefused:
        await _require(connection)
    finally:
        await channel.close()


async def _require(connection: AbstractConnection) -> None:
    async with connection.channel() as channel:
        try:
            for exchange in (CHANGES, REPLAY, DEAD):
                await channel.declare_exchange(exchange, passive=True)
            for queue in queue_names():
                await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity as error:
            raise ChannelNotFoundEntity(
                f"{error}; this user may not declare it: run `penstock declare` as one who may"
            ) from error


def queue_names() -> list[str]:
    """Return the names of all queues."""
    objects = [name for one in SObject for name in (queue_name(one), dead_queue_name(one))]
    return [*objects, LOG]


def queue_arguments(name: str) -> FieldTable:
    """Return what a queue is declared with."""
    if name == LOG:
        return {"x-queue-type": "stream", "x-max-age": LOG_MAX_AGE}
    quorum: FieldTable = {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-max-length-bytes": MAX_QUEUE_BYTES,
    }
    if name.startswith(f"{DEAD}."):
        return quorum
    return quorum | {
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-delivery-limit": DELIVERY_LIMIT,
    }


async def declare(channel: AbstractChannel) -> AbstractExchange:
    """Declare everything; return the exchange that changes are published to.

    Raises:
        aiormq.exceptions.ChannelPreconditionFailed: something of that name exists with other
            arguments; an operator decides which is right.
    """
    changes = await channel.declare_exchange(CHANGES, ExchangeType.TOPIC, durable=True)
    replay = await channel.declare_exchange(REPLAY, ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(DEAD, ExchangeType.TOPIC, durable=True)
    for sobject in SObject:
        dead_name, name = dead_queue_name(sobject), queue_name(sobject)
        dead_queue = await channel.declare_queue(
            dead_name, durable=True, arguments=queue_arguments(dead_name)
        )
        await dead_queue.bind(dead, f"{sobject.lower()}.*")
        queue = await channel.declare_queue(name, durable=True, arguments=queue_arguments(name))
        await queue.bind(changes, f"{sobject.lower()}.*")
        await queue.bind(replay, f"{sobject.lower()}.*")
    log = await channel.declare_queue(LOG, durable=True, arguments=queue_arguments(LOG))
    await log.bind(changes, "#")
    return changes
