"""Reading the stream `penstock.log`: from a place on, with bounded prefetch, up to a known end.

Source: RabbitMQ documentation, "Streams" (`x-stream-offset`; consumers acknowledge for credit
alone; a time attaches at the start of the chunk that it falls into).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError

from pipeline import envelope, topology
from pipeline.broker import RUN_HEADER, connection_to
from pipeline.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

    from pipeline.settings import Secret

# Times 256 KiB stays under 32 MiB.
PREFETCH_COUNT: Final = 100
_ANSWER_S: Final = 10.0
# What comes comes at once; where nothing does, the broker says nothing.
_QUIET_S: Final = 1.0

# An offset, a time, or one of the ends.
Place: TypeAlias = "int | datetime | str"
FIRST: Final = "first"
LAST: Final = "last"


class Logged(NamedTuple):
    """One message of the stream; `run_id` is whose mark it is, if it is one."""

    offset: int
    routing_key: str
    body: bytes
    run_id: int | None


class LogReader:
    """Reads on from a place. An offset that is no more is taken for the first that there is."""

    def __init__(self, channel: AbstractChannel) -> None:
        self._channel = channel
        self._inbox: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

    async def begin(self, place: Place, prefetch_count: int) -> None:
        """Have the broker send messages."""
        await self._channel.set_qos(prefetch_count)
        queue = await self._channel.get_queue(topology.LOG, ensure=False)
        await queue.consume(self._inbox.put, arguments={"x-stream-offset": place})

    async def next(self, limit: int, *, timeout_s: float) -> list[Logged]:
        """Return at most `limit` messages, those that are there; none if none comes in time.

        Raises:
            BrokerUnavailable: the connection is lost.
        """
        with _outages():
            try:
                async with asyncio.timeout(timeout_s):
                    found = [await self._inbox.get()]
            except TimeoutError:
                if self._channel.is_closed:
                    raise BrokerUnavailable("the connection to RabbitMQ was lost") from None
                return []
            while len(found) < limit and not self._inbox.empty():
                found.append(self._inbox.get_nowait())
            await found[-1].ack(multiple=True)
        return [_logged(message) for message in found]


@contextlib.asynccontextmanager
async def reading(
    url: Secret, name: str, place: Place, *, mark: int | None = None, prefetch_count: int
) -> AsyncIterator[LogReader]:
    """Yield what reads from a place; with `mark`, up to the mark of that run.

    How long a stream is, the broker tells only seconds later. So a mark is published to it first,
    an envelope without items: whoever comes to it has seen all that was there before.

    Raises:
        BrokerUnavailable: RabbitMQ is away, or has no such stream.
    """
    async with contextlib.AsyncExitStack() as stack:
        with _outages():
            async with asyncio.timeout(_ANSWER_S):
                connection = await stack.enter_async_context(connection_to(url, name))
                await topology.ensure(connection)
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                if mark is not None:
                    await _put_mark(channel, mark)
                reader = LogReader(channel)
                await reader.begin(place, prefetch_count)
        yield reader


async def one(url: Secret, name: str, place: Place) -> Logged | None:
    """Return the message at a place, or None where there is none.

    Raises:
        BrokerUnavailable: as `reading`.
    """
    async with reading(url, name, place, prefetch_count=1) as reader:
        found = await reader.next(1, timeout_s=_QUIET_S)
    return found[0] if found else None


async def last_offset(url: Secret, name: str, known: int) -> int:
    """Return the offset of the newest message; `known` if there is none.

    Raises:
        BrokerUnavailable: as `reading`.
    """
    last = known
    async with reading(url, name, LAST, prefetch_count=PREFETCH_COUNT) as reader:
        while found := await reader.next(PREFETCH_COUNT, timeout_s=_QUIET_S):
            last = max(last, found[-1].offset)
            if len(found) < PREFETCH_COUNT:
                break
    return last


async def _put_mark(channel: AbstractChannel, run_id: int) -> None:
    message = Message(
        envelope.encode([]),
        headers={RUN_HEADER: run_id},
        delivery_mode=DeliveryMode.PERSISTENT,
        content_type=envelope.CONTENT_TYPE,
        app_id="penstock",
    )
    await channel.default_exchange.publish(message, topology.LOG, mandatory=True)


def _logged(message: AbstractIncomingMessage) -> Logged:
    offset = message.headers["x-stream-offset"]
    run_id = message.headers.get(RUN_HEADER)
    is_mark = message.routing_key == topology.LOG and isinstance(run_id, int)
    return Logged(
        offset=int(str(offset)),
        routing_key=message.routing_key or "",
        body=message.body,
        run_id=int(str(run_id)) if is_mark else None,
    )


@contextlib.contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except (*CONNECTION_EXCEPTIONS, DeliveryError, TimeoutError) as error:
        raise BrokerUnavailable(f"RabbitMQ: {error!r}") from error
