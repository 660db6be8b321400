"""How much waits in a queue, as KEDA's RabbitMQ scaler asks.

Over http it counts what waits and what workers hold, as the management API has it, which is up to
5 s old; over amqp only what waits.

Source: KEDA documentation, "RabbitMQ Queue": protocol, and the note on unacknowledged messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote, urlsplit

import aio_pika
from yarl import URL

from pipeline import topology
from pipeline.queues import read_queue

if TYPE_CHECKING:
    import aiohttp

    from pipeline.objects import SObject


class Depth(Protocol):
    """Returns how many messages KEDA sees."""

    async def __call__(self) -> int: ...


class HttpDepth:
    """Asks the management API."""

    def __init__(
        self, session: aiohttp.ClientSession, management_url: str, broker_url: str, sobject: SObject
    ) -> None:
        self._session = session
        vhost = urlsplit(broker_url).path.removeprefix("/") or quote("/", safe="")
        self._url = URL(
            f"{management_url}/api/queues/{vhost}/{topology.queue_name(sobject)}", encoded=True
        )

    async def __call__(self) -> int:
        async with self._session.get(self._url) as response:
            response.raise_for_status()
            # A queue without statistics yet has none waiting.
            return int((await response.json()).get("messages", 0))


class AmqpDepth:
    """Declares the queue passively, on a connection of its own."""

    def __init__(self, broker_url: str, sobject: SObject) -> None:
        self._broker_url = broker_url
        self._sobject: Final = sobject

    async def __call__(self) -> int:
        async with await aio_pika.connect(self._broker_url) as connection:
            queue = await read_queue(connection, self._sobject)
            return 0 if queue is None else queue.depth_count
