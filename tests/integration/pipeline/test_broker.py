from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import aio_pika
import pytest
from aio_pika.exceptions import ChannelPreconditionFailed, DeliveryError
from aio_pika.exchange import Exchange
from pamqp.commands import Basic

from pipeline import broker, envelope, topology
from pipeline.broker import Publisher
from pipeline.envelope import Item
from pipeline.errors import BrokerUnavailable
from pipeline.objects import SObject
from pipeline.settings import Secret
from tests.servers import manage, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aio_pika.abc import AbstractChannel

    from ops.stack import PrivateRabbitMQ

LEAD_QUEUE = topology.queue_name(SObject.LEAD)
ITEM = Item("msg_1", 1, masked=False, body=b'{"version":1}')
PUBLISH_TIMEOUT_S = 1.0


def vhost(broker_url: str) -> str:
    return unquote(urlsplit(broker_url).path.removeprefix("/"))


@asynccontextmanager
async def channel_to(broker_url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(broker_url) as connection:
        yield await connection.channel()


@asynccontextmanager
async def running(broker_url: str) -> AsyncIterator[Publisher]:
    publisher = Publisher(Secret(broker_url), "test publisher", PUBLISH_TIMEOUT_S)
    stop = asyncio.Event()
    task = asyncio.create_task(publisher.run(stop))
    try:
        yield publisher
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


@pytest.fixture
async def publisher(broker_url: str) -> AsyncIterator[Publisher]:
    async with running(broker_url) as publisher:
        await until(lambda: publisher.problem() is None)
        yield publisher


async def test_what_is_confirmed_is_in_its_queue_and_in_the_log(
    publisher: Publisher, broker_url: str
) -> None:
    await publisher.publish([ITEM, ITEM], "lead.update")
    async with channel_to(broker_url) as channel:
        message = await (await channel.get_queue(LEAD_QUEUE)).get(timeout=10)
        assert message is not None
        assert envelope.decode(message.body) == [ITEM, ITEM]
        assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
        assert message.content_type == envelope.CONTENT_TYPE
        assert message.routing_key == "lead.update"
        await message.ack()
        other = await channel.get_queue(topology.queue_name(SObject.TASK))
        assert await other.get(fail=False) is None
        assert envelope.decode(await first_logged(channel)) == [ITEM, ITEM]


async def first_logged(channel: AbstractChannel) -> bytes:
    """Return the first message that is in the log."""
    logged = asyncio.get_running_loop().create_future()
    await channel.set_qos(prefetch_count=1)
    log = await channel.get_queue(topology.LOG)

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        if not logged.done():
            logged.set_result(message.body)

    await log.consume(take, arguments={"x-stream-offset": "first"})
    async with asyncio.timeout(10):
        body: bytes = await logged
        return body


async def test_what_is_replayed_is_in_its_queue_with_its_headers_and_not_in_the_log(
    publisher: Publisher, broker_url: str
) -> None:
    await publisher.replay(b"the very bytes", "lead.update", {"x-penstock-run": 7})
    async with channel_to(broker_url) as channel:
        message = await (await channel.get_queue(LEAD_QUEUE)).get(timeout=10)
        assert message is not None
        assert (message.body, message.routing_key) == (b"the very bytes", "lead.update")
        assert message.headers["x-penstock-run"] == 7
        await message.ack()
        await publisher.publish([ITEM], "lead.update")
        assert envelope.decode(await first_logged(channel)) == [ITEM]
        with pytest.raises(BrokerUnavailable, match=r"no queue is bound for nothing\.update"):
            await publisher.replay(b"", "nothing.update", {})


async def test_what_no_queue_takes_is_refused_and_the_publisher_goes_on(
    publisher: Publisher, broker_url: str
) -> None:
    async with channel_to(broker_url) as channel:
        # The log takes everything, so it has to go first.
        changes = await channel.get_exchange(topology.CHANGES)
        log = await channel.get_queue(topology.LOG)
        await log.unbind(changes, "#")
        with pytest.raises(BrokerUnavailable, match=r"no queue is bound for nothing\.update"):
            await publisher.publish([ITEM], "nothing.update")
    await publisher.publish([ITEM], "lead.update")


async def test_a_full_queue_refuses_and_others_take(
    publisher: Publisher, broker_url: str, rabbitmq_server: PrivateRabbitMQ
) -> None:
    policy = {
        "pattern": f"^{LEAD_QUEUE}$".replace(".", r"\."),
        "definition": {"max-length": 1},
        "apply-to": "queues",
    }
    path = f"/api/policies/{vhost(broker_url)}/full"
    manage(rabbitmq_server.management_url, "PUT", path, json.dumps(policy))
    with pytest.raises(BrokerUnavailable, match="full"):
        await publish_without_end(publisher)
    await publisher.publish([ITEM], "task.update")
    assert publisher.problem() is None

    async with channel_to(broker_url) as channel:
        await (await channel.get_queue(LEAD_QUEUE)).purge()
    await until_published(publisher)


async def publish_without_end(publisher: Publisher) -> None:
    async with asyncio.timeout(20):
        while True:
            await publisher.publish([ITEM], "lead.update")


async def until_published(publisher: Publisher) -> None:
    """Publish again and again until it is confirmed, as Salesforce would."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await publisher.publish([ITEM], "lead.update")
            except BrokerUnavailable:
                await asyncio.sleep(0.02)


async def test_a_channel_that_refuses_for_ever_is_given_up_for_a_new_one_on_its_connection(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "RENEW_S", 0.1)
    publish = Exchange.publish
    stuck: list[object] = []

    async def refuse(exchange: Exchange, *args: Any, **options: Any) -> object:
        # As RabbitMQ 3.10 may once a queue's leader died, whatever became of the queue since.
        stuck.extend([] if stuck else [exchange.channel])
        if exchange.channel is stuck[0]:
            raise DeliveryError(None, Basic.Nack())
        return await publish(exchange, *args, **options)

    monkeypatch.setattr(Exchange, "publish", refuse)
    with pytest.raises(BrokerUnavailable, match="full or has no leader"):
        await publisher.publish([ITEM], "lead.update")
    publishing = asyncio.create_task(until_published(publisher))
    while not publishing.done():
        assert publisher.connected, "others go on meanwhile"
        await asyncio.sleep(0)
    await publishing


async def test_a_connection_that_the_broker_closes_is_made_again(
    publisher: Publisher, broker_url: str, rabbitmq_server: PrivateRabbitMQ
) -> None:
    await publisher.publish([ITEM], "lead.update")
    closing = ("close_all_connections", "--vhost", vhost(broker_url), "--limit", "0")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rabbitmq_server.ctl(*closing, "maintenance"))
        await until(lambda: not publisher.connected)
        with pytest.raises(BrokerUnavailable, match="not connected"):
            await publisher.publish([ITEM], "lead.update")
        await until(lambda: publisher.problem() is None)
    await publisher.publish([ITEM], "lead.update")


async def test_a_queue_that_was_deleted_is_missed_and_made_again(
    publisher: Publisher, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "QUEUE_CHECK_S", 0.1)
    # The new period counts from the next connection on.
    async with channel_to(broker_url) as channel:
        await channel.queue_delete(LEAD_QUEUE, if_unused=False, if_empty=False)
    await until(lambda: not publisher.connected)
    await until(lambda: publisher.connected)
    async with channel_to(broker_url) as channel:
        await channel.declare_queue(LEAD_QUEUE, passive=True)


async def test_a_blocked_broker_is_given_up_in_time_and_taken_up_again(
    publisher: Publisher, rabbitmq_server: PrivateRabbitMQ
) -> None:
    # An alarm: the broker stops reading from whoever publishes, and confirms nothing.
    alarm, calm = ("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4")
    await rabbitmq_server.ctl(*alarm)
    try:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([ITEM], "lead.update")
        assert time.monotonic() - started < PUBLISH_TIMEOUT_S + 5
    finally:
        await rabbitmq_server.ctl(*calm)
    await until_published(publisher)


async def test_topology_is_declared_again_and_again_without_a_change(broker_url: str) -> None:
    async with channel_to(broker_url) as channel:
        for _ in range(2):
            await topology.declare(channel)
        for sobject in SObject:
            for name in (topology.queue_name(sobject), topology.dead_queue_name(sobject)):
                queue = await channel.declare_queue(name, passive=True)
                assert queue.declaration_result.message_count == 0


async def test_a_topology_that_differs_is_refused_by_name_and_left_alone(broker_url: str) -> None:
    async with channel_to(broker_url) as channel:
        await channel.declare_queue(LEAD_QUEUE, durable=True)
        with pytest.raises(ChannelPreconditionFailed, match=LEAD_QUEUE):
            await topology.declare(channel)
    async with running(broker_url) as publisher:
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([ITEM], "lead.update")
        async with channel_to(broker_url) as channel:
            await channel.queue_delete(LEAD_QUEUE)
        # Once an operator has decided, the process goes on by itself.
        await until_published(publisher)
