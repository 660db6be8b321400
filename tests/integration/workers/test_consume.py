"""Deliveries are settled once their changes are committed, and only then."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline import envelope
from pipeline.errors import TransientError
from pipeline.settings import Worker
from tests.changes import inserted, lead, message, record_ids
from tests.integration.workers.consuming import (
    DEAD_LEADS,
    LEADS,
    Broker,
    DoubleProcessor,
    consuming,
)
from tests.servers import until
from workers import overtaken
from workers.consume import MAX_BATCH_BYTES
from workers.dead_letters import TooManyDeadLetters

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor

RECORDS = "SELECT count(*) FROM record"


def messages(count: int) -> list[bytes]:
    return [message(inserted(lead(Id=record_id))) for record_id in islice(record_ids(), count)]


async def until_counted(pool: Pool, expected: int, query: str = RECORDS) -> None:
    async with asyncio.timeout(30):
        while await pool.fetchval(query) != expected:
            pass


async def test_poison_goes_to_the_dead_queue_and_its_neighbours_are_committed(
    broker: Broker, pool: Pool, processor: Processor
) -> None:
    one, other = islice(record_ids(), 2)
    half = message(inserted(lead(Id=one)), b"no callout", inserted(lead(Id=other)))
    async with consuming(broker, pool, processor, Worker()):
        await broker.publish(half, b"no envelope", *messages(10)[2:])
        await until_counted(pool, 10)
        await broker.until_waiting(2, 0, DEAD_LEADS)
    assert await broker.waiting() == (0, 0)

    async with broker.connection.channel() as channel:
        queue = await channel.get_queue(DEAD_LEADS)
        dead = [await queue.get(), await queue.get()]
        assert {one.body for one in dead} == {half, b"no envelope"}


async def test_stopping_finishes_the_batch_under_way_and_gives_the_rest_back(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    async with consuming(broker, pool, double, Worker(batch_count=2)) as running:
        await broker.publish(*messages(6))
        await until(lambda: len(double.batches) == 1)
        running.stop.set()
        await until(lambda: running.consumer.broker_problem() is not None)
        assert not running.task.done()
        double.go_on.set()
    taken = len(double.batches[0])
    assert len(double.batches) == 1
    await broker.until_waiting(6 - taken, 0)


async def test_what_is_no_whole_batch_waits_while_another_is_committed(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    async with consuming(broker, pool, double, Worker(batch_count=3), lane_count=2):
        await broker.publish(*messages(1))
        await until(lambda: len(double.batches) == 1)
        await broker.publish(*messages(2))
        await broker.until_waiting(0, 1)
        assert len(double.batches) == 1
        # With one more the second is whole, and is committed beside the first.
        await broker.publish(*messages(2))
        await until(lambda: len(double.batches) == 2)
        await broker.until_waiting(0, 1)
        double.go_on.set()
        await until(lambda: sum(map(len, double.batches)) == 5)
    assert [len(batch) for batch in double.batches[1:]] == [3, 1]


async def test_a_batch_is_bounded_by_the_bytes_that_its_changes_inflate_to(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    wide = {"Description": "x" * (MAX_BATCH_BYTES // 2 + 1)}
    async with consuming(broker, pool, double, Worker()):
        await broker.publish(message(inserted(lead())))
        await until(lambda: len(double.batches) == 1)
        await broker.publish(*(message(inserted(lead(**wide))) for _ in range(6)))
        # All of them are here by the time the first batch is done.
        await broker.until_waiting(0, 1)
        double.go_on.set()
        await broker.until_waiting(0, 1)
        await until(lambda: sum(map(len, double.batches)) == 7)
    assert max(map(len, double.batches)) == 2


async def test_a_drain_that_takes_too_long_settles_nothing_and_the_third_delivery_is_suspect(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    await broker.publish(*messages(1))
    for delivery in (1, 2):
        async with consuming(broker, pool, double, Worker(drain_s=0.05)):
            await until(lambda expected=delivery: len(double.batches) == expected)  # type: ignore[misc]  # one argument with a default
        await broker.until_waiting(1, 0)
        assert double.suspects == []

    async with consuming(broker, pool, double, Worker()):
        await until(lambda: len(double.suspects) == 1)
    assert len(double.batches) == 2
    await broker.until_waiting(0, 0)


async def test_a_message_of_a_later_version_waits_for_a_newer_worker_and_is_no_dead_letter(
    broker: Broker, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overtaken, "FIRST_PAUSE_S", 0.5)
    later = msgspec.msgpack.encode([envelope.VERSION + 1, {"of": "another shape"}])
    first, second, third = messages(3)
    double = DoubleProcessor()
    double.go_on.set()
    async with consuming(broker, pool, double, Worker(), lane_count=2) as running:
        await broker.publish(first, second, later, third)
        # What came before it is committed; it and what came after it go back.
        await broker.until_waiting(2, 0)
        assert sum(map(len, double.batches)) == 2
        assert "upgrade this worker" in (running.consumer.version_problem() or "")
        # RabbitMQ is not to blame.
        await until(lambda: running.consumer.broker_problem() is None)
        # A newer worker takes it; this one comes back for what it can read.
        async with broker.connection.channel() as channel:
            newer = await (await channel.get_queue(LEADS)).get()
            assert newer.body == later
            await newer.ack()
        await until(lambda: sum(map(len, double.batches)) == 3)
        # Nothing else comes, and the worker is as good as any.
        await until(lambda: running.consumer.version_problem() is None)
        assert running.consumer.broker_problem() is None
    assert await broker.waiting() == await broker.waiting(DEAD_LEADS) == (0, 0)


async def test_what_stops_the_consumer_leaves_the_deliveries_in_the_queue(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    double.error = TooManyDeadLetters("201 in a row")
    double.go_on.set()
    await broker.publish(*messages(3))
    with pytest.raises(TooManyDeadLetters):
        async with consuming(broker, pool, double, Worker()) as running:
            await asyncio.wait({running.task}, timeout=30)
    await broker.until_waiting(3, 0)


async def test_a_hold_that_lasts_too_long_gives_the_deliveries_back_and_begins_again(
    broker: Broker, pool: Pool
) -> None:
    double = DoubleProcessor()
    double.error = TransientError("away")
    double.go_on.set()
    async with consuming(broker, pool, double, Worker(hold_s=0.2)) as running:
        await broker.publish(*messages(2))
        await until(lambda: running.consumer.broker_problem() is not None)
        await until(lambda: running.consumer.broker_problem() is None)
        await until(lambda: "away" in (running.consumer.database_problem() or ""))
        double.error = None
        await until(lambda: running.consumer.database_problem() is None)
    assert await broker.waiting() == (0, 0)


async def test_a_queue_that_is_deleted_is_made_again_and_consumed(
    broker: Broker, pool: Pool, processor: Processor
) -> None:
    async with consuming(broker, pool, processor, Worker()):
        await broker.publish(*messages(1))
        await until_counted(pool, 1)
        async with broker.connection.channel() as channel:
            await channel.queue_delete(LEADS, if_unused=False, if_empty=False)
        await broker.until_waiting(0, 1)
        await broker.publish(*messages(2)[1:])
        await until_counted(pool, 2)
