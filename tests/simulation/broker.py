"""A broker in memory: quorum queues as far as consumers can tell, and connections that are lost."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from aio_pika.exceptions import AMQPConnectionError

from pipeline import topology

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from tests.simulation.watch import Watch

    Take = Callable[["Message"], Awaitable[object]]

_MAX_DELAY_S: Final = 0.02


class Message:
    """One hand-over of a stored message; settled by what aio-pika's are settled by."""

    def __init__(self, stored: Stored, channel: Channel, tag: int) -> None:
        self.stored = stored
        self.tag = tag
        self.channel = channel
        self.body = stored.body
        self.routing_key = stored.routing_key
        self.redelivered = stored.delivery_count > 0
        self.headers: dict[str, Any] = dict(stored.headers)
        if stored.delivery_count:
            self.headers["x-delivery-count"] = stored.delivery_count

    async def ack(self) -> None:
        await self._settle("ack")

    async def reject(self, *, requeue: bool) -> None:
        await self._settle("requeue" if requeue else "reject")

    async def _settle(self, how: str) -> None:
        self.channel.require_open()
        self.channel.broker.watch.settled(self, how)
        # The frame is sent; whether the broker reads it before the connection is lost is not known.
        await self.channel.broker.hop()
        asyncio.get_running_loop().call_later(
            self.channel.broker.delay_s(), self.channel.read_settlement, self.tag, how
        )


class Stored:
    """A message in a queue."""

    def __init__(self, body: bytes, routing_key: str) -> None:
        self.body = body
        self.routing_key = routing_key
        self.delivery_count = 0
        self.headers: dict[str, Any] = {}


class Queue:
    """A queue and who consumes it; a consumer's channel may be full."""

    def __init__(self, name: str, broker: Broker) -> None:
        self.name = name
        self._broker = broker
        self.waiting: deque[Stored] = deque()
        self.consumers: list[tuple[str, Channel, Take]] = []

    def hand_over(self) -> None:
        while self.waiting:
            free = [one for one in self.consumers if one[1].has_room(self)]
            if not free:
                return
            _, channel, take = self._broker.rng.choice(free)
            channel.deliver(self, self.waiting.popleft(), take)


class Broker:
    """All queues and connections; `rng` draws who gets what, and how long it takes."""

    def __init__(self, rng: random.Random, watch: Watch) -> None:
        self.rng = rng
        self.watch = watch
        self.is_up = True
        self.tags = itertools.count(1)
        self.connections: list[Connection] = []
        self.queues = {name: Queue(name, self) for name in topology.queue_names()}

    def delay_s(self) -> float:
        return self.rng.choice((0.0, 0.001, _MAX_DELAY_S * self.rng.random()))

    async def hop(self) -> None:
        await asyncio.sleep(self.delay_s())

    async def connect(self, owner: object) -> Connection:
        await self.hop()
        if not self.is_up:
            raise AMQPConnectionError("refused")
        connection = Connection(self, owner)
        self.connections.append(connection)
        return connection

    def publish(self, body: bytes, routing_key: str) -> None:
        """Store a message, confirmed: it is there until it is settled."""
        sobject = topology.object_of(routing_key)
        assert sobject is not None
        self._put(topology.queue_name(sobject), Stored(body, routing_key))

    def _put(self, name: str, stored: Stored) -> None:
        self.queues[name].waiting.append(stored)
        self.queues[name].hand_over()

    def set_aside(self, stored: Stored, reason: str) -> None:
        """Move a message to the dead queue of its object."""
        sobject = topology.object_of(stored.routing_key)
        assert sobject is not None
        stored.headers = {"x-death": [{"reason": reason}]}
        stored.delivery_count = 0
        self._put(topology.dead_queue_name(sobject), stored)

    def give_back(self, queue: Queue, stored: Stored) -> None:
        stored.delivery_count += 1
        if stored.delivery_count > topology.DELIVERY_LIMIT:
            self.set_aside(stored, "delivery_limit")
        else:
            queue.waiting.appendleft(stored)

    @property
    def is_empty(self) -> bool:
        unsettled = [one.unsettled for each in self.connections for one in each.channels]
        return not any(unsettled) and not any(queue.waiting for queue in self.queues.values())


class Connection:
    """A connection, until it is lost or closed."""

    def __init__(self, broker: Broker, owner: object) -> None:
        self._broker = broker
        self.owner = owner
        self.channels: list[Channel] = []
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def channel(self, *, publisher_confirms: bool) -> Channel:
        assert not publisher_confirms
        await self._broker.hop()
        if self._closed.done():
            raise AMQPConnectionError("lost")
        channel = Channel(self._broker, self)
        self.channels.append(channel)
        return channel

    def closed(self) -> asyncio.Future[None]:
        return asyncio.shield(self._closed)

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    def lose(self) -> None:
        """End it: whatever was not settled goes back to its queue."""
        if not self._closed.done():
            self._closed.set_result(None)
            self._broker.connections.remove(self)
            for channel in self.channels:
                channel.end()

    async def close(self) -> None:
        await self._broker.hop()
        self.lose()


class Channel:
    """A channel: what it holds unsettled is bounded, queue by queue."""

    def __init__(self, broker: Broker, connection: Connection) -> None:
        self.broker = broker
        self._connection = connection
        self._prefetch_count = 0
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unsettled: dict[int, tuple[Queue, Stored]] = {}

    @property
    def is_closed(self) -> bool:
        return self._closed.done()

    def require_open(self) -> None:
        if self.is_closed:
            raise AMQPConnectionError("the channel is closed")

    def closed(self) -> asyncio.Future[None]:
        return asyncio.shield(self._closed)

    async def set_qos(self, prefetch_count: int) -> None:
        self._prefetch_count = prefetch_count

    async def get_underlay_channel(self) -> SimpleNamespace:
        return SimpleNamespace(on_consumer_cancel_callbacks=set())

    async def declare_exchange(self, *_: object, **__: object) -> None:
        self.require_open()

    async def declare_queue(self, name: str, **_: object) -> Declared:
        return Declared(self, self.broker.queues[name])

    async def get_queue(self, name: str) -> Declared:
        await self.broker.hop()
        self.require_open()
        return Declared(self, self.broker.queues[name])

    def has_room(self, queue: Queue) -> bool:
        held = sum(1 for each, _ in self.unsettled.values() if each is queue)
        return not self.is_closed and held < self._prefetch_count

    def deliver(self, queue: Queue, stored: Stored, take: Take) -> None:
        tag = next(self.broker.tags)
        self.unsettled[tag] = (queue, stored)
        message = Message(stored, self, tag)
        self.broker.watch.note("deliver", tag, queue.name, stored.delivery_count)
        asyncio.get_running_loop().call_later(self.broker.delay_s(), self._arrive, message, take)

    def _arrive(self, message: Message, take: Take) -> None:
        if not self.is_closed:
            task = asyncio.ensure_future(take(message))
            self.broker.watch.keep(task)

    def read_settlement(self, tag: int, how: str) -> None:
        if self.is_closed or tag not in self.unsettled:
            return
        queue, stored = self.unsettled.pop(tag)
        self.broker.watch.note(how, tag)
        if how == "reject":
            self.broker.set_aside(stored, "rejected")
        elif how == "requeue":
            self.broker.give_back(queue, stored)
        queue.hand_over()

    def end(self) -> None:
        if self.is_closed:
            return
        self._closed.set_result(None)
        queues = {id(queue): queue for queue, _ in self.unsettled.values()}
        for _, (queue, stored) in sorted(self.unsettled.items(), reverse=True):
            self.broker.give_back(queue, stored)
        self.unsettled.clear()
        for queue in self.broker.queues.values():
            queue.consumers = [one for one in queue.consumers if one[1] is not self]
        for queue in queues.values():
            queue.hand_over()

    async def close(self) -> None:
        await self.broker.hop()
        self.end()


class Declared:
    """A queue as a channel sees it."""

    def __init__(self, channel: Channel, queue: Queue) -> None:
        self._channel = channel
        self._queue = queue

    async def bind(self, *_: object) -> None:
        pass

    async def consume(self, take: Take) -> str:
        await self._channel.broker.hop()
        self._channel.require_open()
        tag = f"consumer {next(self._channel.broker.tags)}"
        self._queue.consumers.append((tag, self._channel, take))
        self._queue.hand_over()
        return tag

    async def cancel(self, tag: str, timeout: float) -> None:  # noqa: ASYNC109  as aio-pika's
        assert timeout > 0
        await self._channel.broker.hop()
        self._channel.require_open()
        self._queue.consumers = [one for one in self._queue.consumers if one[0] != tag]
