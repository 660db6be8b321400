"""Connections to RabbitMQ, made again when lost, and a publisher that waits for confirms."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

import aio_pika
import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError, PublishError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random
from yarl import URL

from pipeline import envelope, metrics, topology
from pipeline.certificates import refusal, told
from pipeline.errors import BrokerUnavailable
from pipeline.hosts import urls_of
from pipeline.lifecycle import first_of, wait_or_stop

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Coroutine,
        Mapping,
        Sequence,
    )

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
    from tenacity import RetryCallState

    from pipeline.settings import Secret

T = TypeVar("T")

log = structlog.get_logger()

CONNECT_TIMEOUT_S: Final = 5.0
# Many requests in a row, of a broker that may have come up a moment ago and is asked by all at
# once: given up early they would only be asked again.
SETUP_TIMEOUT_S: Final = 15.0
CLOSE_TIMEOUT_S: Final = 2.0
HEARTBEAT_S: Final = 10
RECONNECT_S: Final = 0.1
QUEUE_CHECK_S: Final = 5.0
# A session that lasted so long was not cut off in its own setup.
SETTLED_S: Final = SETUP_TIMEOUT_S + 5.0
# A channel whose messages are refused is given up for a new one, at most this often.
RENEW_S: Final = 1.0
# On what is published again: by which run, and by whom.
RUN_HEADER: Final = "x-penstock-run"
BY_HEADER: Final = "x-penstock-by"
# On what ingest publishes: which of them, and when, in ms of a clock of its own that only grows.
SOURCE_HEADER: Final = "x-penstock-ingest"
SENT_HEADER: Final = "x-penstock-sent"
_LOST: Final = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Nodes:
    """The nodes that a URL names. Each connection tries them in turn, from the one after the last.

    One that lets itself be connected to and does no work, as one that is cut off from the others,
    is so left for another. The order is drawn: the processes of a fleet spread over the nodes.
    """

    def __init__(self, url: Secret) -> None:
        targets = [URL(one) for one in urls_of(url.value)]
        self._targets = deque(random.sample(targets, len(targets)))

    @contextlib.asynccontextmanager
    async def connected(self, name: str) -> AsyncIterator[AbstractConnection]:
        """Connect once; close within 2 s on the way out, whatever state the broker is in."""
        connection = await self._connect(name)
        try:
            yield connection
        finally:
            with contextlib.suppress(*_LOST):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await connection.close()

    async def _connect(self, name: str) -> AbstractConnection:
        tries = len(self._targets)
        while True:
            tries -= 1
            target = self._targets[0]
            self._targets.rotate(-1)
            if "heartbeat" not in target.query:
                target = target.update_query(heartbeat=HEARTBEAT_S)
            try:
                return await aio_pika.connect(
                    target, timeout=CONNECT_TIMEOUT_S, client_properties={"connection_name": name}
                )
            except _LOST:
                if tries == 0:
                    raise


def connection_to(
    url: Secret, name: str
) -> contextlib.AbstractAsyncContextManager[AbstractConnection]:
    """Connect once, to any node; close within 2 s on the way out, whatever state it is in."""
    return Nodes(url).connected(name)


async def keep_connected(
    url: Secret,
    name: str,
    stop: asyncio.Event,
    session: Callable[[AbstractConnection], Awaitable[None]],
) -> None:
    """Run `session` on a connection, and on a new one whenever it ends, until `stop`.

    A session returns when its connection is of no more use to it. Whatever the broker does is an
    outage, not an error: it is logged and tried again, on the next node, after 0.1 to 5 s.
    """
    nodes = Nodes(url)
    loop = asyncio.get_running_loop()

    async def sleep(seconds: float) -> None:
        await wait_or_stop(stop, seconds)

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        why = told(error, "BROKER") if error else None
        log.warning("broker_unavailable", error=why, attempt=state.attempt_number)

    async def connect_once() -> None:
        if not stop.is_set():
            async with nodes.connected(name) as connection:
                began_s = loop.time()
                try:
                    await session(connection)
                except _LOST as error:
                    # What went well for a while is a new loss: earlier ones do not count any more.
                    if loop.time() - began_s < SETTLED_S:
                        raise
                    log.warning("broker_lost", error=told(error, "BROKER"))
            # However often sessions end by themselves, the broker is not flooded with new ones.
            if not stop.is_set():
                await wait_or_stop(stop, RECONNECT_S)

    retry_lost = AsyncRetrying(
        retry=retry_if_exception_type(_LOST),
        wait=wait_exponential(multiplier=0.1, max=4.8) + wait_random(0, 0.2),
        sleep=sleep,
        before_sleep=tell,
    )
    while not stop.is_set():
        await retry_lost(connect_once)


async def set_up(steps: Coroutine[object, object, T], stop: asyncio.Event) -> T | None:
    """Return what the first steps on a connection return; None if `stop` came before.

    Raises:
        TimeoutError: they took longer than 15 s.
        Exception: what they raise.
    """
    work = asyncio.ensure_future(steps)
    try:
        if not await first_of(asyncio.shield(work), stop.wait(), timeout_s=SETUP_TIMEOUT_S):
            raise TimeoutError
        return work.result() if work.done() else None
    finally:
        work.cancel()
        # A broker that is frozen does not let go of a channel.
        await asyncio.wait({work}, timeout=CLOSE_TIMEOUT_S)


async def _ensured(connection: AbstractConnection) -> bool:
    """Make the queues that are missing; tell whether there were none."""
    is_new = not await topology.exists(connection)
    await topology.ensure(connection)
    return is_new


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
        self._refused = asyncio.Event()
        self._was_connected = asyncio.Event()
        self._confirmed_at = self._opened_at = 0.0
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
                why = refusal(error, "BROKER") or str(error) or repr(error)
                self._problem = f"RabbitMQ: {why}"
                raise

        await keep_connected(self._url, self._name, stop, session)

    async def _session(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        is_new = await set_up(_ensured(connection), stop)
        if is_new is None:
            return
        if is_new:
            await wait_or_stop(stop, topology.SETTLE_S)
        self._stalled.clear()
        try:
            channel, former = await self._open(connection), None
            self._was_connected.set()
            log.info("broker_connected")
            # The stream takes every message, so one whose queue was deleted would be confirmed too.
            while await _has_queues(connection):
                ends = (channel.closed, connection.closed, self._stalled.wait, stop.wait)
                await first_of(
                    *(end() for end in ends), self._refused.wait(), timeout_s=QUEUE_CHECK_S
                )
                if channel.is_closed or self._stalled.is_set() or stop.is_set():
                    return
                if self._refused.is_set():
                    log.warning("channel_renewed")
                    if former is not None:
                        await former.close()
                    # What is under way on the last one is still confirmed.
                    channel, former = await self._open(connection), channel
            log.warning("queues_missing")
        finally:
            self._exchange = self._replay_exchange = None

    async def _open(self, connection: AbstractConnection) -> AbstractChannel:
        """Publish on a new channel from now on.

        A channel may go on refusing for ever after its queue's leader died, though the queue has
        another by now and is empty: seen on RabbitMQ 3.10. A new one is refused only by a full one.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(topology.CHANGES, ensure=False)
            replay_exchange = await channel.get_exchange(topology.REPLAY, ensure=False)
        self._exchange, self._replay_exchange = exchange, replay_exchange
        self._opened_at = time.monotonic()
        self._refused.clear()
        return channel

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
            if time.monotonic() - self._opened_at > RENEW_S:
                self._refused.set()
            raise BrokerUnavailable("the queue is full or has no leader") from error
        except CONNECTION_EXCEPTIONS as error:
            metrics.publishes.labels("lost").inc()
            raise BrokerUnavailable("the connection to RabbitMQ was lost") from error
        self._confirmed_at = time.monotonic()
        metrics.publishes.labels("confirmed").inc()
        metrics.confirm_seconds.observe(self._confirmed_at - started)


async def _has_queues(connection: AbstractConnection) -> bool:
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        return await topology.exists(connection)
