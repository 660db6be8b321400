from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aio_pika
import pytest
from yarl import URL

from pipeline import broker
from pipeline.broker import Publisher, connection_to, keep_connected
from pipeline.envelope import Item
from pipeline.errors import BrokerUnavailable
from pipeline.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 10
BROKER = Secret("amqp://guest@broker/")


class Connection:
    """A connection that does nothing but remember that it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        self.closed = True


class Broker:
    """Stands in for RabbitMQ: fails to be connected to as often as told."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.asked: list[str | None] = []
        self.connections: list[Connection] = []
        self.url = URL()
        self.slept: list[float] = []

    def take_part(self, monkeypatch: pytest.MonkeyPatch) -> Self:
        monkeypatch.setattr(aio_pika, "connect", self._connect)
        monkeypatch.setattr(broker, "wait_or_stop", self._sleep)
        return self

    async def _connect(self, url: URL, **_: Any) -> Connection:
        self.url = url
        self.asked.append(url.host)
        if self._failures:
            raise self._failures.pop(0)
        self.connections.append(Connection())
        return self.connections[-1]

    async def _sleep(self, stop: asyncio.Event, seconds: float) -> bool:
        self.slept.append(seconds)
        await asyncio.sleep(0)
        return stop.is_set()


def session_that_stops(stop: asyncio.Event, after: int = 1) -> Callable[[object], Any]:
    """Return a session that ends at once, for the last time after so many."""
    left = iter(range(after - 1, -1, -1))

    async def session(_: object) -> None:
        if next(left) == 0:
            stop.set()

    return session


async def test_an_outage_is_tried_again_after_ever_longer_up_to_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Broker(*[ConnectionRefusedError()] * 12).take_part(monkeypatch)
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE_S):
        await keep_connected(BROKER, "test", stop, session_that_stops(stop))
    assert len(away.slept) == 12
    for slept_s, least_s in zip(
        away.slept, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[4.8] * 6], strict=True
    ):
        assert least_s <= slept_s <= least_s + 0.2


async def test_a_lost_connection_is_closed_and_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Broker().take_part(monkeypatch)
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE_S):
        await keep_connected(BROKER, "test", stop, session_that_stops(stop, after=3))
    assert [connection.closed for connection in there.connections] == [True] * 3


async def test_a_session_that_fails_for_the_broker_is_an_outage_and_for_a_bug_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Broker().take_part(monkeypatch)
    failures = [aio_pika.exceptions.ChannelClosed(), TimeoutError(), ZeroDivisionError()]

    async def session(_: object) -> None:
        raise failures.pop(0)

    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(ZeroDivisionError):
            await keep_connected(BROKER, "test", asyncio.Event(), session)
    assert [connection.closed for connection in there.connections] == [True] * 3


@pytest.mark.parametrize(("settled_s", "pauses_s"), [(0.0, [0.1] * 5), (60.0, [0.1, 0.2, 0.4])])
async def test_a_loss_after_a_session_that_went_well_is_waited_for_as_a_first_one(
    monkeypatch: pytest.MonkeyPatch, settled_s: float, pauses_s: list[float]
) -> None:
    there = Broker().take_part(monkeypatch)
    monkeypatch.setattr(broker, "SETTLED_S", settled_s)
    stop = asyncio.Event()

    async def session(_: object) -> None:
        if len(there.slept) == len(pauses_s):
            stop.set()
            return
        raise aio_pika.exceptions.AMQPConnectionError

    async with asyncio.timeout(DEADLINE_S):
        await keep_connected(BROKER, "test", stop, session)
    for slept_s, least_s in zip(there.slept, pauses_s, strict=True):
        assert least_s <= slept_s <= least_s + 0.2


async def test_who_is_told_to_stop_during_an_outage_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Broker(*[ConnectionRefusedError()] * 1000).take_part(monkeypatch)
    stop = asyncio.Event()

    async def session(_: object) -> None:
        raise AssertionError("there is no connection to have a session on")

    async with asyncio.timeout(DEADLINE_S):
        running = asyncio.create_task(keep_connected(BROKER, "test", stop, session))
        while len(away.slept) < 3:  # noqa: ASYNC110  the loop itself is what is waited for
            await asyncio.sleep(0)
        stop.set()
        await running
    assert not away.connections


@pytest.mark.parametrize(("asked", "heartbeat"), [("", "10"), ("?heartbeat=3", "3")])
async def test_a_heartbeat_finds_a_dead_broker_unless_the_url_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, asked: str, heartbeat: str
) -> None:
    there = Broker().take_part(monkeypatch)
    stop = asyncio.Event()
    await keep_connected(Secret(BROKER.value + asked), "test", stop, session_that_stops(stop))
    assert there.url.query["heartbeat"] == heartbeat


async def test_a_node_that_is_away_is_left_out_and_one_that_ends_a_session_comes_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Broker(ConnectionRefusedError(), TimeoutError()).take_part(monkeypatch)
    stop = asyncio.Event()
    url = Secret("amqp://guest@a,b,c/")
    async with asyncio.timeout(DEADLINE_S):
        await keep_connected(url, "test", stop, session_that_stops(stop, after=3))
    # The third is connected to at once; after its session the first and the second have their turn.
    first_turn = there.asked[:3]
    assert sorted(map(str, first_turn)) == ["a", "b", "c"]
    assert there.asked[3:] == first_turn[:2]
    assert 0.1 in there.slept
    assert len(there.slept) == 2, "of the two sessions that ended, and of no node"


async def test_nodes_that_are_all_away_are_each_tried_once_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = Broker(*[ConnectionRefusedError()] * 6).take_part(monkeypatch)
    stop = asyncio.Event()
    async with asyncio.timeout(DEADLINE_S):
        await keep_connected(Secret("amqp://guest@a,b,c/"), "test", stop, session_that_stops(stop))
    assert len(away.slept) == 2
    assert len(away.asked) == 7


async def test_processes_spread_over_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Broker().take_part(monkeypatch)
    for _ in range(100):
        async with connection_to(Secret("amqp://guest@a,b,c/"), "test"):
            pass
    assert set(there.asked) == {"a", "b", "c"}


async def test_nothing_is_published_before_there_is_a_connection() -> None:
    publisher = Publisher(BROKER, "test", publish_timeout_s=1)
    assert publisher.problem() == "not connected to RabbitMQ"
    with pytest.raises(BrokerUnavailable, match="not connected"):
        await publisher.publish([Item("id", 1, masked=False, body=b"{}")], "lead.update")


async def test_first_steps_end_at_stop_and_a_slow_broker_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, answered = asyncio.Event(), asyncio.Event()

    async def steps() -> str:
        await answered.wait()
        return "open"

    opening = asyncio.create_task(broker.set_up(steps(), stop))
    await asyncio.sleep(0)
    answered.set()
    assert await opening == "open"
    answered.clear()
    opening = asyncio.create_task(broker.set_up(steps(), stop))
    await asyncio.sleep(0)
    stop.set()
    assert await opening is None
    monkeypatch.setattr(broker, "SETUP_TIMEOUT_S", 0.01)
    with pytest.raises(TimeoutError):
        await broker.set_up(steps(), asyncio.Event())
