"""Exchanges and queues, declared by every process that connects and may (it is idempotent).

    penstock.changes ─ lead.* ─▶ penstock.changes.lead ─ dead ─▶ penstock.dead ─▶ penstock.dead.lead
                     └─ # ─────▶ penstock.log (stream, 7 days)
    penstock.replay  ─ lead.* ─▶ penstock.changes.lead, past the log, which has it already

Sources: RabbitMQ documentation, "Quorum Queues" (delivery limit, at-least-once dead-lettering
needs `reject-publish`) and "Streams" (`x-max-age`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

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
# All are topics, and durable.
EXCHANGES: Final = (CHANGES, REPLAY, DEAD)
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
            for exchange in EXCHANGES:
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


class Binding(NamedTuple):
    """Which messages of an exchange a queue gets."""

    exchange: str
    queue: str
    routing_key: str


def bindings() -> list[Binding]:
    """Return what is bound to what, in the order to bind it in.

    The log is last: it takes every message, so one that no queue got would be confirmed, too.
    """
    found = []
    for sobject in SObject:
        key = f"{sobject.lower()}.*"
        found += [
            Binding(DEAD, dead_queue_name(sobject), key),
            Binding(CHANGES, queue_name(sobject), key),
            Binding(REPLAY, queue_name(sobject), key),
        ]
    return [*found, Binding(CHANGES, LOG, "#")]


class Policy(NamedTuple):
    """What queues whose name matches get besides the arguments that they were declared with."""

    name: str
    pattern: str
    definition: FieldTable


# What no argument says: queues that exist cannot be declared anew with another. None of it takes
# anything from what is promised. Of the policies that match a queue, one applies.
POLICIES: Final = (
    # A queue without a limit has one of 20 from RabbitMQ 4.0 on, and this one has nowhere to
    # dead-letter to: each hold that expires while PostgreSQL is away would count as one.
    Policy(
        "penstock-dead",
        r"^penstock\.dead\.",
        {"delivery-limit": DELIVERY_LIMIT, "queue-leader-locator": "balanced"},
    ),
    Policy("penstock-changes", r"^penstock\.changes\.", {"queue-leader-locator": "balanced"}),
    # A segment goes as a whole, and never the newest: with the 500 MB of the default, the log of a
    # quiet org would reach back for years. Read when the log is declared, and never again.
    Policy(
        "penstock-log",
        r"^penstock\.log$",
        {"stream-max-segment-size-bytes": 50_000_000, "queue-leader-locator": "balanced"},
    ),
)


def policy_of(queue: str) -> Policy:
    """Return the policy that a queue is to have."""
    return next(policy for policy in POLICIES if re.search(policy.pattern, queue))


async def declare(channel: AbstractChannel) -> AbstractExchange:
    """Declare everything; return the exchange that changes are published to.

    Raises:
        aiormq.exceptions.ChannelPreconditionFailed: something of that name exists with other
            arguments; an operator decides which is right.
    """
    exchanges = {
        name: await channel.declare_exchange(name, ExchangeType.TOPIC, durable=True)
        for name in EXCHANGES
    }
    queues = {
        name: await channel.declare_queue(name, durable=True, arguments=queue_arguments(name))
        for name in queue_names()
    }
    for binding in bindings():
        queue = queues[binding.queue]
        await queue.bind(exchanges[binding.exchange], binding.routing_key)
    return exchanges[CHANGES]
