"""How far workers are, told to every ingest, which goes by it in what it takes in.

A message says which ingest published it, and when by that ingest's own clock. Workers tell, a few
times a second, where they are in what each of them published, so no clock is held against
another's. Nothing hangs on one report: it is not persistent, and the next says it all again.

    penstock.progress (fanout) ─▶ penstock.progress.<source> (exclusive and short, one an ingest)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec
from aio_pika import ExchangeType, Message

from pipeline.broker import CONNECT_TIMEOUT_S, keep_connected
from pipeline.lifecycle import first_of, wait_or_stop
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractExchange,
        AbstractIncomingMessage,
    )
    from pamqp.common import FieldTable

    from pipeline.settings import Secret

EXCHANGE: Final = "penstock.progress"
_TELL_EVERY_S: Final = 0.25
_TELL_SAME_EVERY_S: Final = 1.0
# What ingest has not read by then is old news.
_QUEUE: Final[FieldTable] = {"x-max-length": 64, "x-overflow": "drop-head", "x-message-ttl": 5000}


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Where a worker is in what one ingest published for an object, in ms of that ingest's clock.

    It was handed all up to `taken_ms` that no other worker was, and has settled all of that but
    what was published from `oldest_ms` on, if it holds any.
    """

    source: str
    object: SObject
    taken_ms: int
    oldest_ms: int | None


class Report(msgspec.Struct, frozen=True, array_like=True):
    """What a worker tells: where it is, and how many changes it has settled of each object so far.

    `worker_id` is of one run: its counts only grow. Fields are only ever added, at the end.
    """

    worker_id: str
    settled: dict[SObject, int]
    marks: list[Mark]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Report)


async def tell(url: Secret, name: str, report: Callable[[], Report], stop: asyncio.Event) -> None:
    """Tell what `report` returns until `stop`: every 250 ms, or every second while it is the same.

    On a connection of its own: a broker with an alarm reads no more from those that publish, and no
    settlement may wait behind that.
    """

    async def session(connection: AbstractConnection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        exchange = await _declare(channel)
        told, told_at = b"", 0.0
        while not (connection.is_closed or channel.is_closed):
            body = _encoder.encode(report())
            if body != told or time.monotonic() - told_at >= _TELL_SAME_EVERY_S:
                await exchange.publish(Message(body), "", mandatory=False)
                told, told_at = body, time.monotonic()
            if await wait_or_stop(stop, _TELL_EVERY_S):
                return

    await keep_connected(url, name, stop, session)


async def hear(
    url: Secret, source: str, take: Callable[[Report], None], stop: asyncio.Event
) -> None:
    """Have `take` told of every report until `stop`, on behalf of the ingest `source`."""

    async def on_message(message: AbstractIncomingMessage) -> None:
        # What another version tells is not for us.
        with contextlib.suppress(msgspec.DecodeError):
            take(_decoder.decode(message.body))

    async def session(connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            channel = await connection.channel(publisher_confirms=False)
            exchange = await _declare(channel)
            queue = await channel.declare_queue(
                f"{EXCHANGE}.{source}", exclusive=True, auto_delete=True, arguments=_QUEUE
            )
            await queue.bind(exchange)
            await queue.consume(on_message, no_ack=True)
        await first_of(channel.closed(), connection.closed(), stop.wait())

    await keep_connected(url, f"{EXCHANGE} {source}", stop, session)


async def _declare(channel: AbstractChannel) -> AbstractExchange:
    return await channel.declare_exchange(EXCHANGE, ExchangeType.FANOUT, durable=True)
