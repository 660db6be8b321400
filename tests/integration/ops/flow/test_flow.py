"""The flow, as it is told by what processes counted, by the queues, and by the outbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aio_pika
import asyncpg
import pytest

from ops.flow import Queue, Queues, read_flow, read_queues
from pipeline import metrics, topology
from pipeline.objects import SObject
from pipeline.settings import Secret
from pipeline.tally import ProcessKind, Tally, Waiting
from tests import outbox_rows
from workers.received import now_ms
from workers.upkeep import clear

if TYPE_CHECKING:
    from ops.flow import Flow, ObjectFlow
    from pipeline.database import Pool

NO_QUEUES = Queues({}, "RabbitMQ does not answer")
EMPTY = Queues({sobject: Queue(0, 0, 0) for sobject in SObject})


async def read(pool: Pool, queues: Queues = EMPTY) -> Flow:
    async with pool.acquire() as connection:
        return await read_flow(connection, queues)


async def leads(pool: Pool, queues: Queues = EMPTY) -> ObjectFlow:
    return next(one for one in (await read(pool, queues)).objects if one.object == "Lead")


async def test_before_anything_runs_every_object_is_there_and_empty(pool: Pool) -> None:
    flow = await read(pool, NO_QUEUES)
    assert [one.object for one in flow.objects] == [sobject.value for sobject in SObject]
    assert flow.problem == NO_QUEUES.problem
    assert flow.processes == []
    for one in flow.objects:
        assert (one.depth_count, one.oldest_s, one.worker_changes_per_s) == (None, None, None)
        assert len(one.minutes) == 61
        assert not one.committed_per_s


async def test_what_two_workers_counted_is_one_flow(pool: Pool) -> None:
    tallies = [Tally(pool, ProcessKind.WORKER, [SObject.LEAD]) for _ in range(2)]
    for tally in tallies:
        await tally.tell()
    for tally in tallies:
        # Both read this process's metrics: each tells what they have grown by since it last did.
        metrics.changes_committed.labels(SObject.LEAD).inc(600)
        metrics.deliveries_settled.labels(SObject.LEAD, "acked").inc(10)
        metrics.busy_seconds.labels(SObject.LEAD).inc(1.5)
        metrics.receive_to_commit_seconds.labels(SObject.LEAD).observe(0.03)
        await tally.tell()
        await tallies[0].tell()

    one = await leads(pool)
    # The first told of both steps, the second of both at once.
    assert one.minutes[-1].committed_count + one.minutes[-2].committed_count == 1200 + 1200
    assert one.committed_per_s > 0
    assert one.changes_per_message == 60
    assert one.worker_changes_per_s == 400
    assert one.latency.p99_ms == pytest.approx(50, abs=1)
    assert one.worker_count == 2
    contacts = next(c for c in (await read(pool)).objects if c.object == "Contact")
    assert (contacts.committed_per_s, contacts.worker_count) == (0, 0)


async def test_the_oldest_that_waits_is_as_old_as_the_newest_that_was_taken(pool: Pool) -> None:
    stands = {SObject.LEAD: Waiting(5, now_ms() - 60_000)}
    first = Tally(pool, ProcessKind.WORKER, [SObject.LEAD], lambda: stands)
    await first.tell()
    behind = {SObject.LEAD: Waiting(2, now_ms() - 90_000)}
    await Tally(pool, ProcessKind.WORKER, [SObject.LEAD], lambda: behind).tell()

    backlog = Queues({SObject.LEAD: Queue(100, 2, 0)})
    one = await leads(pool, backlog)
    assert one.oldest_s == pytest.approx(60, abs=5)
    assert (one.depth_count, one.in_hand_count, one.consumer_count) == (100, 7, 2)

    stands = {SObject.LEAD: Waiting(0, now_ms())}
    await first.tell()
    behind = {SObject.LEAD: Waiting(0, now_ms())}
    assert (await leads(pool)).in_hand_count == 2
    assert (await leads(pool, backlog)).oldest_s == pytest.approx(0, abs=5)


async def test_what_the_relay_has_to_do_is_told_by_what_is_open(pool: Pool) -> None:
    await outbox_rows.add(pool, "ana@example.com", "ben@example.com")
    await pool.execute(
        "UPDATE outbox SET created_at = now() - interval '1 hour' WHERE recipient LIKE 'ana%'"
    )
    await outbox_rows.add(pool, "eve@example.com", state="delivered")
    outbox = (await read(pool)).outbox
    assert (outbox.open_count, outbox.delayed_count, outbox.has_more) == (2, 0, False)
    assert outbox.oldest_s == pytest.approx(3600, abs=10)


async def test_a_process_that_was_killed_falls_silent_and_one_that_drained_ended(
    pool: Pool,
) -> None:
    drained, killed = (Tally(pool, ProcessKind.WORKER, [SObject.LEAD]) for _ in range(2))
    await killed.tell()
    await pool.execute("UPDATE process SET told_at = now() - interval '1 minute'")
    stop = asyncio.Event()
    stop.set()
    await drained.run(stop)
    assert sorted(one.state for one in (await read(pool)).processes) == ["ended", "silent"]
    assert (await leads(pool)).worker_count == 0


async def test_upkeep_clears_what_no_reader_asks_for(pool: Pool) -> None:
    tally = Tally(pool, ProcessKind.INGEST)
    for _ in range(2):
        metrics.changes_accepted.labels(SObject.LEAD).inc()
        await tally.tell()
        await clear(pool, retention_days=90)
        assert await pool.fetchval("SELECT count(*) FROM tally") == 1
        await pool.execute("UPDATE tally SET minute = minute - interval '3 hours'")
        await pool.execute("UPDATE process SET told_at = told_at - interval '3 hours'")
        await clear(pool, retention_days=90)
        assert await pool.fetchval("SELECT count(*) FROM tally") == 0
        assert await pool.fetchval("SELECT count(*) FROM process") == 0


async def test_an_hour_of_many_workers_is_read_fast(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("""
            INSERT INTO tally
            SELECT 'p' || worker, object, date_trunc('minute', now()) - make_interval(mins => ago),
                   0, 0, 0, 0, 0, 0, 0, 0, 0, array_fill(1::bigint, ARRAY[16]), 0, 0, 0,
                   array_fill(1::bigint, ARRAY[16]), 1, 1
            FROM generate_series(1, 50) AS worker, generate_series(0, 120) AS ago,
                 unnest(ARRAY['Lead', 'Task', 'User', 'Event', 'Contact', 'Account',
                              'Opportunity']) AS object""")
        await read_flow(connection, EMPTY)
        started = asyncio.get_running_loop().time()
        await read_flow(connection, EMPTY)
        assert asyncio.get_running_loop().time() - started < 3
    finally:
        await connection.close()


async def test_queues_tell_depth_and_consumers_and_what_is_missing(broker_url: str) -> None:
    assert "not declared yet" in ((await read_queues(Secret(broker_url))).problem or "")
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        exchange = await topology.declare(channel)
        for _ in range(3):
            await exchange.publish(aio_pika.Message(b""), "lead.update")
        queues = await read_queues(Secret(broker_url))
    assert queues.problem is None
    assert queues.by_object[SObject.LEAD] == Queue(3, 0, 0)
    assert queues.by_object[SObject.TASK] == Queue(0, 0, 0)


async def test_a_broker_that_is_away_is_told_in_words() -> None:
    queues = await read_queues(Secret("amqp://127.0.0.1:1/"))
    assert queues.by_object == {}
    assert "does not answer" in (queues.problem or "")
