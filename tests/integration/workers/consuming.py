"""A consumer as a worker runs it, on a broker of the test's own, and looks at its queues."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import aio_pika
from aiormq.exceptions import ChannelNotFoundEntity

from pipeline import topology
from pipeline.broker import keep_connected
from pipeline.objects import SObject
from pipeline.settings import Secret
from tests.servers import until
from workers.consume import Consumer
from workers.processor import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aio_pika.abc import AbstractConnection

    from pipeline.database import Pool
    from pipeline.settings import Worker
    from workers.processor import Processor
    from workers.received import ReceivedChange

LEADS: Final = topology.queue_name(SObject.LEAD)
DEAD_LEADS: Final = topology.dead_queue_name(SObject.LEAD)
_TIMEOUT_S: Final = 30.0


class Broker:
    """Publishes to the real exchange and counts what waits in queues."""

    def __init__(self, connection: AbstractConnection, url: str) -> None:
        self.url = url
        self.connection = connection

    async def declare(self) -> None:
        async with self.connection.channel() as channel:
            await topology.declare(channel)

    async def publish(self, *bodies: bytes) -> None:
        async with self.connection.channel() as channel:
            exchange = await channel.get_exchange(topology.CHANGES)
            for body in bodies:
                await exchange.publish(aio_pika.Message(body), "lead.update")

    async def waiting(self, name: str = LEADS) -> tuple[int, int]:
        """Return how many messages are ready in a queue, and how many consume from it."""
        async with self.connection.channel() as channel:
            try:
                queue = await channel.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return (0, 0)
            result = queue.declaration_result
            return (result.message_count or 0, result.consumer_count or 0)

    async def until_waiting(self, ready: int, consumers: int, name: str = LEADS) -> None:
        """Return once a queue has so many messages ready and so many consumers."""
        found = None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while found != (ready, consumers):
                    found = await self.waiting(name)
        except TimeoutError:
            raise AssertionError(f"{found} instead of {(ready, consumers)}") from None


class DoubleProcessor:
    """Keeps batches until it is told to go on, or raises what it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[ReceivedChange]] = []
        self.suspects: list[ReceivedChange] = []
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def process(self, changes: Iterable[ReceivedChange]) -> Outcome:
        self.batches.append(list(changes))
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return Outcome(len(self.batches[-1]), 0)

    async def process_suspect(self, change: ReceivedChange) -> Outcome:
        self.suspects.append(change)
        return Outcome(1, 0)


class Running:
    """A consumer of leads under way."""

    def __init__(self, consumer: Consumer, broker: Broker) -> None:
        self.consumer = consumer
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(
            keep_connected(
                Secret(broker.url), "test", self.stop, lambda c: consumer.session(c, self.stop)
            )
        )

    async def stopped(self) -> None:
        """Stop and return once it has drained; raises what it failed of."""
        self.stop.set()
        async with asyncio.timeout(_TIMEOUT_S):
            await self.task


@contextlib.asynccontextmanager
async def consuming(
    broker: Broker,
    pool: Pool,
    processor: Processor | DoubleProcessor,
    settings: Worker,
    lane_count: int = 1,
) -> AsyncIterator[Running]:
    """Consume within the block, and stop after it unless it was stopped."""
    consumer = Consumer(settings, [SObject.LEAD], lambda: processor, pool, lane_count=lane_count)  # type: ignore[arg-type,return-value]  # the double is for timing alone
    running = Running(consumer, broker)
    try:
        await until(lambda: consumer.broker_problem() is None or running.task.done())
        yield running
        await running.stopped()
    finally:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)
