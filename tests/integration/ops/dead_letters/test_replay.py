"""What is replayed goes back marked, once, to the queue it came from; its row says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aio_pika
import msgspec
import pytest

from ops import bulk_runs, dead_letters
from ops.bulk_runs import BulkRun, RunKind, RunState
from ops.dead_letters import DeadFilter, DeadState, discard, replay
from ops.errors import OpsError, WrongUsage
from pipeline import envelope, topology
from pipeline.broker import Publisher
from pipeline.errors import Reason
from pipeline.objects import SObject
from pipeline.settings import Broker, Secret, Settings
from tests.changes import inserted, lead, received
from tests.dead_letters import fill
from workers.dead_letters import DeadLetter, insert
from workers.received import decode_item

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_pika.abc import AbstractIncomingMessage

    from pipeline.database import Pool

ACTOR: Final = "ana@desk"
STATES: Final = "SELECT state, count(*) FROM dead_letter GROUP BY state"


@pytest.fixture
async def settings(broker_url: str) -> Settings:
    async with await aio_pika.connect(broker_url) as connection:
        await topology.declare(await connection.channel())
    return Settings(broker=Broker(url=Secret(broker_url)))


async def begin(
    pool: Pool, kind: RunKind, chosen: DeadFilter, rate_per_s: int = 100_000
) -> BulkRun:
    async with pool.acquire() as connection:
        planned = await dead_letters.plan(connection, kind, chosen, retention_days=90)
        return await dead_letters.begin(connection, planned, actor=ACTOR, rate_per_s=rate_per_s)


async def replayed(pool: Pool, settings: Settings, chosen: DeadFilter) -> BulkRun:
    run = await begin(pool, RunKind.DEAD_REPLAY, chosen)
    async with replay.work(settings) as work, asyncio.timeout(30):
        return await bulk_runs.drive(
            pool, run.id, work, asyncio.Event(), driver="test", tell=lambda _run, _held_for: None
        )


async def discarded(pool: Pool, chosen: DeadFilter) -> BulkRun:
    run = await begin(pool, RunKind.DEAD_DISCARD, chosen)
    async with discard.work() as work, asyncio.timeout(30):
        return await bulk_runs.drive(
            pool, run.id, work, asyncio.Event(), driver="test", tell=lambda _run, _held_for: None
        )


async def states(pool: Pool) -> dict[str, int]:
    return {row["state"]: row["count"] for row in await pool.fetch(STATES)}


async def queued(settings: Settings, name: str) -> list[AbstractIncomingMessage]:
    """Take all messages that wait in a queue."""
    messages = []
    async with await aio_pika.connect(settings.broker.url.value) as connection:
        queue = await (await connection.channel()).get_queue(name)
        while message := await queue.get(fail=False, no_ack=True):
            messages.append(message)
    return messages


async def test_a_filter_is_replayed_whole_and_nothing_else(pool: Pool, settings: Settings) -> None:
    await fill(pool, 3000)
    run = await replayed(pool, settings, DeadFilter(object=SObject.LEAD, reason=Reason.RULE_FAILED))

    assert (run.state, run.done_count, run.total_count) == (RunState.FINISHED, 200, 200)
    assert await states(pool) == {"open": 2800, "replayed": 200}
    messages = await queued(settings, topology.queue_name(SObject.LEAD))
    items = [item for message in messages for item in envelope.decode(message.body)]
    assert len(items) == len({item.body for item in items}) == 200
    for message in messages:
        assert message.routing_key == "lead.update"
        assert (message.headers["x-penstock-run"], message.headers["x-penstock-by"]) == (
            run.id,
            ACTOR,
        )
        assert len(message.body) < 2 * topology.MAX_MESSAGE_BYTES
    assert await queued(settings, topology.queue_name(SObject.TASK)) == []
    (row,) = await pool.fetch(
        "SELECT DISTINCT reason, object, run_id FROM dead_letter WHERE state = 'replayed'"
    )
    assert tuple(row) == ("rule_failed", "Lead", run.id)


async def test_what_crashed_workers_goes_back_alone(pool: Pool, settings: Settings) -> None:
    await fill(pool, 30, objects=("Lead",))
    await replayed(pool, settings, DeadFilter(reason=Reason.CRASHED_WORKER))
    messages = await queued(settings, topology.queue_name(SObject.LEAD))
    assert [len(envelope.decode(message.body)) for message in messages] == [1] * 6


async def test_a_step_waits_for_all_its_confirms_at_once(
    pool: Pool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One after another, those of a slow broker would outlast the step's transaction.
    await fill(pool, 30, objects=("Lead",))
    publish, all_of_them = Publisher.replay, asyncio.Barrier(6)

    async def published(
        publisher: Publisher, body: bytes, routing_key: str, headers: Mapping[str, str | int]
    ) -> None:
        async with asyncio.timeout(5):
            await all_of_them.wait()
        await publish(publisher, body, routing_key, headers)

    monkeypatch.setattr(Publisher, "replay", published)
    run = await replayed(pool, settings, DeadFilter(reason=Reason.CRASHED_WORKER))
    assert (run.state, run.done_count) == (RunState.FINISHED, 6)


async def test_a_change_comes_back_as_it_was_and_failing_again_opens_its_row(
    pool: Pool, settings: Settings
) -> None:
    (change,) = received(inserted(lead(FirstName="nul\x00", LastName="\x1a")))
    letter = DeadLetter(change, Reason.RULE_FAILED, "no good")
    async with pool.acquire() as connection:
        await insert(connection, [letter])
    run = await replayed(pool, settings, DeadFilter(ids=(1,)))
    (message,) = await queued(settings, topology.queue_name(SObject.LEAD))
    (item,) = envelope.decode(message.body)
    assert (item.callout_id, item.received_at) == (change.callout_id, change.received_at)
    assert decode_item(item).changes == [change]

    async with pool.acquire() as connection:
        await insert(connection, [letter])
        (row,) = await dead_letters.listing(connection, DeadFilter(run_id=run.id), limit=9)
    assert (row.id, row.state, row.attempts, row.run_id) == (1, DeadState.OPEN, 2, run.id)
    assert row.first_dead_at < row.dead_at


async def test_a_run_replays_what_comes_back_meanwhile_no_second_time(
    pool: Pool, settings: Settings
) -> None:
    await fill(pool, 10, objects=("Lead",))
    run = await begin(pool, RunKind.DEAD_REPLAY, DeadFilter())

    def come_back(now: BulkRun, held_for: str | None) -> None:
        if held_for is None and now.state is RunState.RUNNING:
            returns.append(
                asyncio.ensure_future(pool.execute("UPDATE dead_letter SET state='open'"))
            )

    returns: list[asyncio.Future[str]] = []
    async with replay.work(settings) as work, asyncio.timeout(30):
        ended = await bulk_runs.drive(
            pool, run.id, work, asyncio.Event(), driver="test", tell=come_back
        )
    await asyncio.gather(*returns)
    assert (ended.state, ended.done_count) == (RunState.FINISHED, 10)
    again = await replayed(pool, settings, DeadFilter())
    assert again.done_count == 10


async def test_a_message_goes_back_to_the_byte(pool: Pool, settings: Settings) -> None:
    await pool.execute(
        "INSERT INTO dead_letter (object, reason, error, original, message_hash, routing_key)"
        " VALUES ('Task', 'undecodable', 'no', '\\xff00', '\\x01', 'task.update')"
    )
    await replayed(pool, settings, DeadFilter(reason=Reason.UNDECODABLE))
    (message,) = await queued(settings, topology.queue_name(SObject.TASK))
    assert (message.body, message.routing_key) == (b"\xff\x00", "task.update")
    async with pool.acquire() as connection:
        shown = await dead_letters.show(connection, 1)
    assert (shown.message_base64, shown.settled_by, shown.state) == ("/wA=", ACTOR, "replayed")


async def test_a_row_that_somebody_has_locked_is_done_at_the_end(
    pool: Pool, settings: Settings
) -> None:
    await fill(pool, 20, objects=("Lead",))
    run = await begin(pool, RunKind.DEAD_REPLAY, DeadFilter())
    many_done = asyncio.Event()

    def tell(now: BulkRun, held_for: str | None) -> None:
        if held_for is None and now.done_count == 19:
            many_done.set()

    async with replay.work(settings) as work, asyncio.timeout(30):
        async with pool.acquire() as worker:
            locked = worker.transaction()
            await locked.start()
            await worker.execute("SELECT FROM dead_letter WHERE dead_letter_id = 7 FOR UPDATE")
            driving = asyncio.create_task(
                bulk_runs.drive(pool, run.id, work, asyncio.Event(), driver="test", tell=tell)
            )
            await many_done.wait()
            assert not driving.done()
            await locked.rollback()
        ended = await driving
    assert (ended.state, ended.done_count) == (RunState.FINISHED, 20)
    assert await states(pool) == {"replayed": 20}


async def test_a_plan_counts_and_says_what_to_expect(pool: Pool) -> None:
    await fill(pool, 300)
    old = received(inserted(lead(), captured_at=1))[0]
    async with pool.acquire() as connection:
        await insert(connection, [DeadLetter(old, Reason.OUT_OF_WINDOW, "captured_at 1")])
        planned = await dead_letters.plan(
            connection, RunKind.DEAD_REPLAY, DeadFilter(object=SObject.LEAD), retention_days=90
        )
    assert planned.total_count == 101
    assert {(one.reason, one.count) for one in planned.counts} == {
        (reason, 21 if reason is Reason.OUT_OF_WINDOW else 20)
        for reason in Reason
        if reason not in (Reason.UNDECODABLE, Reason.DELIVERY_LIMIT)
    }
    assert len(planned.sample) == 5
    assert any(line.startswith("out_of_window: 1 still lie outside") for line in planned.expect)
    assert await states(pool) == {"open": 301}


async def test_what_is_discarded_is_kept_and_says_by_which_run(pool: Pool) -> None:
    await fill(pool, 30)
    run = await discarded(pool, DeadFilter(text="number 1"))
    found = await pool.fetch("SELECT error, run_id FROM dead_letter WHERE state = 'discarded'")
    assert len(found) == run.done_count == 11
    assert {row["run_id"] for row in found} == {run.id}
    with pytest.raises(OpsError, match="nothing to do"):
        await begin(pool, RunKind.DEAD_DISCARD, DeadFilter(text="number 1"))
    with pytest.raises(WrongUsage, match="no word in it"):
        await begin(pool, RunKind.DEAD_DISCARD, DeadFilter(text="-- !"))


async def test_what_is_replayed_goes_on_after_the_broker_was_away(
    pool: Pool, settings: Settings
) -> None:
    await fill(pool, 10, objects=("Lead",))
    run = await begin(pool, RunKind.DEAD_REPLAY, DeadFilter())
    away = msgspec.structs.replace(settings, broker=Broker(url=Secret("amqp://127.0.0.1:1/")))
    stop = asyncio.Event()
    held: list[str] = []

    def tell(_run: BulkRun, held_for: str | None) -> None:
        if held_for is not None:
            held.append(held_for)
            stop.set()

    async with replay.work(away) as work, asyncio.timeout(30):
        await bulk_runs.drive(pool, run.id, work, stop, driver="test", tell=tell)
    assert "BrokerUnavailable" in held[0]
    assert await states(pool) == {"open": 10}
    async with replay.work(settings) as work, asyncio.timeout(30):
        ended = await bulk_runs.drive(
            pool, run.id, work, asyncio.Event(), driver="test", tell=lambda _run, _held_for: None
        )
    assert ended.done_count == 10
