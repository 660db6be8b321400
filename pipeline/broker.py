"""Connections to RabbitMQ, made again when lost, and a publisher that waits for confirms."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Final

import aio_pika
import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError, PublishError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random
from yarl import URL

from pipeline import envelope, metrics, topology
from pipeline.errors import BrokerUnavailable
from pipeline.lifecycle import first_of, wait_or_stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from aio_pika.abc import AbstractConnection, AbstractExchange
    from tenacity import RetryCallState

    from pipeline.settings import Secret

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 2.0
HEARTBEAT_S: Final = 10
RECONNECT_S: Final = 0.1
QUEUE_CHECK_S: Final = 5.0
# On what is published again: by which run, and by whom.
RUN_HEADER: Final = "x-penstock-run"
BY_HEADER: Final = "x-penstock-by"
# On what ingest publishes: which of them, and when, in ms of a clock of its own that only grows.
SOURCE_HEADER: Final = "x-penstock-ingest"
SENT_HEADER: Final = "x-penstock-sent"


@contextlib.asynccontextmanager
async def connection_to(url: Secret, name: str) -> AsyncIterator[AbstractConnection]:
    """Connect once; close within 2 s on the way out, whatever state the broker is in."""
    target = URL(url.value)
    if "heartbeat" not in target.query:
        target = target.update_query(heartbeat=HEARTBEAT_S)
    connection = await aio_pika.connect(
        target, timeout=CONNECT_TIMEOUT_S, client_properties={"connection_name": name}
    )
    try:
        yield connection
    finally:
        with contextlib.suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connection.close()


async def keep_connected(
    url: Secret,
    name: str,
    stop: asyncio.Event,
    session: Callable[[AbstractConnection], Awaitable[None]],
) -> None:
    """Run `session` on a connection, and on a new one whenever it ends, until `stop`.

    A session returns when its connection is of no more use to it. Whatever the broker does is an
    outage, not an error: it is logged and tried again after 0.1 to 5 s.
    """

    async def sleep(seconds: float) -> None:
        await wait_or_stop(stop, seconds)

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("broker_unavailable", error=repr(error), attempt=state.attempt_number)

    async def connect_once() -> None:
        if not stop.is_set():
            async with connection_to(url, name) as connection:
                await session(connection)
            # However often sessions end by themselves, the broker is not flooded with new ones.
            if not stop.is_set():
                await wait_or_stop(stop, RECONNECT_S)

    retry_lost = AsyncRetrying(
        retry=retry_if_exception_type((*CONNECTION_EXCEPTIONS, TimeoutError)),
        wait=wait_exponential(multiplier=0.1, max=4.8) + wait_random(0, 0.2),
        sleep=sleep,
        before_sleep=tell,
    )
    while not stop.is_set():
        await retry_lost(connect_once)


class Publisher:
    """Publishes to `penstock.changes`; knows at any moment whether the broker would take it."""

    def __init__(self, url: Secret, name: str, publish_timeout_s: float) -> None:
        self._url = url
        self._name = name
        self._publish_timeout_s = publish_timeout_s
        self._exchange: AbstractExchange | None = None
        self._replay_exchange: AbstractExchange | None = None
        self._problem = "not connected to RabbitMQ"
        self._stalled = asyncio.Event()
        self._was_connected = asyncio.Event()
        self._confirmed_at = 0.0
        # Of this run: whatever another counts is none of ours.
        self.source = secrets.token_hex(8)

    @property
    def connected(self) -> bool:
        """Whether the broker takes messages, as far as is known."""
        return self._exchange is not None

    def problem(self) -> str | None:
        """Say to operators why nothing can be published now, or None."""
        return None if self.connected else self._problem

    async def until_connected(self) -> None:
        """Return once it was connected for the first time."""
        await self._was_connected.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until `stop`."""

        async def session(connection: AbstractConnection) -> None:
            try:
                await self._session(connection, stop)
                self._problem = "not connected to RabbitMQ: the connection was lost"
            except Exception as error:
                self._problem = f"RabbitMQ: {error}" if str(error) else f"RabbitMQ: {error!r}"
                raise

        await keep_connected(self._url, self._name, stop, session)

    async def _session(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            is_new = not await topology.exists(connection)
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await topology.declare(channel)
            replay_exchange = await channel.get_exchange(topology.REPLAY, ensure=False)
        if is_new:
            await wait_or_stop(stop, topology.SETTLE_S)
        self._stalled.clear()
        self._exchange, self._replay_exchange = exchange, replay_exchange
        self._was_connected.set()
        log.info("broker_connected")
        ends = (channel.closed, connection.closed, self._stalled.wait, stop.wait)
        try:
            # The stream takes every message, so one whose queue was deleted would be confirmed too.
            while await topology.exists(connection):
                if await first_of(*(end() for end in ends), timeout_s=QUEUE_CHECK_S):
                    return
            log.warning("queues_missing")
        finally:
            self._exchange = self._replay_exchange = None

    async def publish(self, items: Sequence[envelope.Item], routing_key: str) -> None:
        """Publish one message; return once the broker has confirmed it.

        Persistent and mandatory. Waits at most `publish_timeout_s` seconds.

        Raises:
            BrokerUnavailable: disconnected, blocked, full, unroutable or too slow (transient). A
                copy may have been stored all the same, so consumers dedupe.

        Source: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms".
        """
        sent: dict[str, str | int] = {
            SOURCE_HEADER: self.source,
            SENT_HEADER: time.monotonic_ns() // 1_000_000,
        }
        await self._publish(self._exchange, envelope.encode(list(items)), routing_key, sent)
        metrics.callouts_per_message.observe(len(items))

    async def replay(self, body: bytes, routing_key: str, headers: Mapping[str, str | int]) -> None:
        """Publish a message again to the queue of its routing key; `headers` say who does and why.

        The log has what is replayed already, and gets it no second time.

        Raises:
            BrokerUnavailable: as `publish`.
        """
        await self._publish(self._replay_exchange, body, routing_key, headers)

    async def _publish(
        self,
        exchange: AbstractExchange | None,
        body: bytes,
        routing_key: str,
        headers: Mapping[str, str | int],
    ) -> None:
        if exchange is None:
            raise BrokerUnavailable("not connected to RabbitMQ")
        message = Message(
            body,
            headers=dict(headers),
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type=envelope.CONTENT_TYPE,
            app_id="penstock",
        )
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._publish_timeout_s):
                await exchange.publish(message, routing_key, mandatory=True)
        except TimeoutError:
            # A broker with an alarm stops reading: what is published piles up unsent on this
            # connection. When nothing at all was confirmed meanwhile, drop it with the pile.
            if self._confirmed_at < started:
                self._stalled.set()
            metrics.publishes.labels("timeout").inc()
            raise BrokerUnavailable("no confirm in time") from None
        except PublishError as error:  # a kind of DeliveryError
            metrics.publishes.labels("unroutable").inc()
            raise BrokerUnavailable(f"no queue is bound for {routing_key}") from error
        except DeliveryError as error:
            metrics.publishes.labels("refused").inc()
            raise BrokerUnavailable("the queue is full or has no leader") from error
        except CONNECTION_EXCEPTIONS as error:
            metrics.publishes.labels("lost").inc()
            raise BrokerUnavailable("the connection to RabbitMQ was lost") from error
        self._confirmed_at = time.monotonic()
        metrics.publishes.labels("confirmed").inc()
        metrics.confirm_seconds.observe(self._confirmed_at - started)
