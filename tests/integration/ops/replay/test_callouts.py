"""Original callouts come back from the log, those that are meant, marked, and up to its end."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final

import aio_pika
import asyncpg
import msgspec
import pytest

from ops import bulk_runs
from ops.bulk_runs import BulkRun, RunFailed, RunState
from ops.errors import OpsError
from ops.replay import callout_plan, callouts
from ops.replay.callouts import OFFSET_HEADER, CalloutReplay
from pipeline import envelope, topology
from pipeline.broker import BY_HEADER, RUN_HEADER, Publisher
from pipeline.errors import BrokerUnavailable
from pipeline.objects import SObject
from pipeline.settings import Broker, Database, Secret, Settings
from tests.changes import inserted, record_ids
from tests.salesforce import now_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

    from pipeline.database import Pool

ACTOR: Final = "ana@desk"
FAST: Final = 1_000_000
DAY_MS: Final = 86_400_000


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database_url, min_size=0, max_size=4) as pool:
        yield pool


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(
        broker=Broker(url=Secret(broker_url)), database=Database(url=Secret(database_url))
    )


@pytest.fixture
async def channel(broker_url: str) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await topology.declare(channel)
        yield channel


def item(name: str, *, received_at: int | None = None) -> envelope.Item:
    body = msgspec.json.encode(inserted({"Id": next(record_ids())}))
    return envelope.Item(name, received_at or now_ms(), masked=False, body=body)


async def publish(
    channel: AbstractChannel, *items: envelope.Item, routing_key: str = "lead.insert"
) -> bytes:
    """Publish as ingest does, and take what came to the object's queue, as a worker does."""
    body = envelope.encode(list(items))
    exchange = await channel.get_exchange(topology.CHANGES)
    await exchange.publish(aio_pika.Message(body), routing_key)
    queue = await channel.get_queue(topology.CHANGES + "." + routing_key.partition(".")[0])
    await (await arrived(queue))[0].ack()
    return body


async def arrived(queue: Any, count: int = 1) -> list[AbstractIncomingMessage]:  # noqa: ANN401
    found: list[AbstractIncomingMessage] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            if message := await queue.get(fail=False):
                found.append(message)
    return found


async def begun(pool: Pool, settings: Settings, chosen: CalloutReplay) -> BulkRun:
    planned = await callout_plan.plan(settings.broker.url, chosen)
    async with pool.acquire() as connection:
        return await callout_plan.begin(connection, planned, actor=ACTOR, rate_per_s=FAST)


async def drive(
    pool: Pool, settings: Settings, run: BulkRun, stop: asyncio.Event | None = None
) -> BulkRun:
    """Drive a run to its end, or for one step that did something if there is a `stop`."""

    def tell(now: BulkRun, _held_for: str | None) -> None:
        if stop is not None and now.handled_count > run.handled_count:
            stop.set()

    async with asyncio.timeout(30), callouts.work(settings) as work:
        return await bulk_runs.drive(
            pool, run.id, work, stop or asyncio.Event(), driver="test", tell=tell
        )


async def test_what_was_received_since_then_comes_back_to_its_own_queue_and_not_to_the_log(
    pool: Pool, settings: Settings, channel: AbstractChannel
) -> None:
    since = now_ms() - DAY_MS
    bodies = [await publish(channel, item(f"msg_{number}")) for number in range(3)]
    task_body = await publish(channel, item("task"), routing_key="task.update")
    # Received before then, though it lies in the log beside the others.
    await publish(channel, item("old", received_at=since - 1))

    chosen = CalloutReplay(since)
    planned = await callout_plan.plan(settings.broker.url, chosen)
    assert planned.looked_at_count == 5
    assert planned.reaches_back_to is not None
    assert "--since is before that" in planned.warnings[0]

    run = await drive(pool, settings, await begun(pool, settings, chosen))
    assert (run.state, run.done_count, run.skipped_count) == (RunState.FINISHED, 4, 1)
    leads = await channel.get_queue(topology.queue_name(SObject.LEAD))
    came = sorted(await arrived(leads, 3), key=lambda message: str(message.headers[OFFSET_HEADER]))
    assert [message.body for message in came] == bodies
    assert [message.headers[OFFSET_HEADER] for message in came] == [0, 1, 2]
    assert {(one.headers[RUN_HEADER], one.headers[BY_HEADER]) for one in came} == {(run.id, ACTOR)}
    tasks = await channel.get_queue(topology.queue_name(SObject.TASK))
    assert [message.body for message in await arrived(tasks)] == [task_body]
    assert await leads.get(fail=False) is None

    # A second one finds no more in the log than what the first one did, and its mark.
    again = await drive(pool, settings, await begun(pool, settings, chosen))
    assert (again.done_count, again.skipped_count) == (4, 2)


async def test_a_run_goes_on_where_it_stopped_and_ends_where_the_log_did_when_it_began(
    pool: Pool, settings: Settings, channel: AbstractChannel
) -> None:
    leads = await channel.get_queue(topology.queue_name(SObject.LEAD))
    bodies = [await publish(channel, item(f"msg_{number}")) for number in range(250)]
    run = await begun(pool, settings, CalloutReplay(now_ms() - DAY_MS))
    first = await drive(pool, settings, run, asyncio.Event())
    assert 0 < first.done_count < 250
    assert first.state is RunState.RUNNING
    await channel.default_exchange.publish(aio_pika.Message(b"later"), topology.LOG)

    ended = await drive(pool, settings, first)
    assert (ended.state, ended.done_count, ended.skipped_count) == (RunState.FINISHED, 250, 0)
    came = await arrived(leads, 250)
    assert sorted(message.body for message in came) == sorted(bodies)
    assert await leads.get(fail=False) is None


async def test_a_step_that_the_broker_did_not_take_is_done_again_from_its_first_message(
    pool: Pool,
    settings: Settings,
    channel: AbstractChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leads = await channel.get_queue(topology.queue_name(SObject.LEAD))
    bodies = [await publish(channel, item(f"msg_{number}")) for number in range(250)]
    run = await begun(pool, settings, CalloutReplay(now_ms() - DAY_MS))
    replay, calls = Publisher.replay, itertools.count(1)

    async def refused_once(
        publisher: Publisher, body: bytes, routing_key: str, headers: Mapping[str, str | int]
    ) -> None:
        # A step has at most 100: not in the first, which reads from a time.
        if next(calls) == 150:
            raise BrokerUnavailable("the queue is full")
        await replay(publisher, body, routing_key, headers)

    monkeypatch.setattr(Publisher, "replay", refused_once)
    ended = await drive(pool, settings, run)
    assert (ended.state, ended.done_count) == (RunState.FINISHED, 250)
    came = {message.body for message in await arrived(leads, 250)}
    while message := await leads.get(fail=False):
        came.add(message.body)
    assert came == set(bodies)


async def test_nothing_of_that_time_is_said_so(pool: Pool, settings: Settings) -> None:
    chosen = CalloutReplay(now_ms() - DAY_MS)
    assert (await callout_plan.plan(settings.broker.url, chosen)).reaches_back_to is None
    with pytest.raises(OpsError, match="nothing to do"):
        await begun(pool, settings, chosen)


async def test_what_the_log_has_no_more_when_a_run_is_resumed_is_counted_and_told(
    pool: Pool, settings: Settings, channel: AbstractChannel
) -> None:
    for number in range(20):
        await publish(channel, item(f"msg_{number}"))
    run = await begun(pool, settings, CalloutReplay(now_ms() - DAY_MS))
    # As if the run had stopped long ago: what the log keeps now begins later than what comes next.
    await pool.execute("""UPDATE bulk_run SET cursor = '{"next_offset": -15}'""")
    ended = await drive(pool, settings, run)
    assert (ended.state, ended.done_count, ended.failed_count) == (RunState.FINISHED, 20, 15)
    assert "15 messages were past the log's end" in (callouts.told_of_gone(ended) or "")


@pytest.mark.parametrize("count", [0, 30])
async def test_a_run_whose_log_was_made_anew_fails_and_says_so(
    pool: Pool, settings: Settings, channel: AbstractChannel, count: int
) -> None:
    long_ago = now_ms() - 2 * DAY_MS
    for number in range(20):
        await publish(channel, item(f"msg_{number}", received_at=long_ago))
    run = await begun(pool, settings, CalloutReplay(long_ago))
    stopped = {"next_offset": 20, "received_at": long_ago}
    await pool.execute("UPDATE bulk_run SET cursor = $1", msgspec.json.encode(stopped).decode())
    await channel.queue_delete(topology.LOG, if_unused=False, if_empty=False)
    await topology.declare(channel)
    for number in range(count):
        await publish(channel, item(f"new_{number}"))
    with pytest.raises(RunFailed, match="the log is not the one that this run began with"):
        await drive(pool, settings, run)
    assert (await pool.fetchval("SELECT state FROM bulk_run")) == RunState.FAILED
