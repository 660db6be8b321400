from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ingest.grouping import MAX_MESSAGES_IN_FLIGHT, Grouper
from pipeline.envelope import MAX_INFLATION, Item
from pipeline.errors import BrokerUnavailable
from pipeline.topology import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

LANE = "lead.update"
DEADLINE_S = 10
HALF = MAX_MESSAGE_BYTES // 2


def item(name: str, size_bytes: int = 10, inflated_bytes: int = 0) -> Item:
    return Item(name, 1, masked=False, body=b"x" * size_bytes, inflated_bytes=inflated_bytes)


class Broker:
    """Takes messages and confirms, or refuses, each when told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str]]] = []
        self.sizes_bytes: list[int] = []
        self._confirms: list[asyncio.Future[None]] = []

    async def publish(self, items: Sequence[Item], routing_key: str) -> None:
        self.messages.append((routing_key, [item.callout_id for item in items]))
        self.sizes_bytes.append(sum(len(item.body) for item in items))
        confirm = asyncio.get_running_loop().create_future()
        self._confirms.append(confirm)
        await confirm

    @property
    def groups(self) -> list[list[str]]:
        return [names for _, names in self.messages]

    @property
    def unconfirmed_count(self) -> int:
        return sum(not confirm.done() for confirm in self._confirms)

    async def confirm(self, index: int) -> None:
        self._confirms[index].set_result(None)
        await turn()

    async def fail(self, index: int, error: BaseException) -> None:
        self._confirms[index].set_exception(error)
        await turn()

    async def confirm_all(self) -> None:
        while self.unconfirmed_count:
            for confirm in self._confirms:
                if not confirm.done():
                    confirm.set_result(None)
            await turn()


class Callers:
    """Requests that wait for their callouts to be safe."""

    def __init__(self, grouper: Grouper) -> None:
        self._grouper = grouper
        self.tasks: list[asyncio.Task[None]] = []

    async def submit(self, *items: Item, lane: str = LANE) -> asyncio.Task[None]:
        task = asyncio.create_task(self._grouper.submit(items, lane))
        self.tasks.append(task)
        await turn()
        return task


async def turn() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def callers(broker: Broker) -> AsyncIterator[Callers]:
    """Whatever a test leaves unsaid is confirmed; nothing may have failed unheard."""
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    callers = Callers(Grouper(broker.publish, DEADLINE_S))
    yield callers
    await broker.confirm_all()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*callers.tasks, return_exceptions=True)
    del callers
    await turn()
    assert not unheard


async def test_when_it_is_quiet_a_callout_is_published_at_once_and_alone(
    broker: Broker, callers: Callers
) -> None:
    first = await callers.submit(item("a"))
    assert broker.groups == [["a"]]
    assert not first.done()
    await broker.confirm(0)
    assert first.done()
    await callers.submit(item("b"))
    assert broker.groups == [["a"], ["b"]]


async def test_what_arrives_during_a_confirm_shares_the_next_message(
    broker: Broker, callers: Callers
) -> None:
    first = await callers.submit(item("a"))
    others = [await callers.submit(item(name)) for name in "bcd"]
    assert broker.groups == [["a"]]
    await broker.confirm(0)
    assert broker.groups == [["a"], ["b", "c", "d"]]
    assert first.done()
    assert not any(task.done() for task in others)
    await broker.confirm(1)
    assert all(task.done() for task in others)


async def test_lanes_do_not_wait_for_one_another(broker: Broker, callers: Callers) -> None:
    await callers.submit(item("a"), lane="lead.update")
    await callers.submit(item("b"), lane="lead.insert")
    assert broker.messages == [("lead.update", ["a"]), ("lead.insert", ["b"])]


async def test_a_message_holds_no_more_than_its_bytes(broker: Broker, callers: Callers) -> None:
    await callers.submit(item("first"))
    for name in "abc":
        await callers.submit(item(name, HALF - 1))
    await callers.submit(item("d", 2))
    await broker.confirm_all()
    assert broker.groups == [["first"], ["a", "b"], ["c", "d"]]
    assert max(broker.sizes_bytes) <= MAX_MESSAGE_BYTES


async def test_a_message_inflates_to_no_more_than_a_worker_can_hold(
    broker: Broker, callers: Callers
) -> None:
    await callers.submit(item("first"))
    for name in "abc":
        await callers.submit(item(name, 10, inflated_bytes=HALF * MAX_INFLATION))
    await broker.confirm_all()
    assert broker.groups == [["first"], ["a", "b"], ["c"]]


async def test_what_exactly_fits_goes_along(broker: Broker, callers: Callers) -> None:
    await callers.submit(item("first"))
    await callers.submit(item("a", HALF))
    await callers.submit(item("b", HALF))
    await broker.confirm(0)
    assert broker.groups[1] == ["a", "b"]


async def test_a_change_larger_than_a_message_goes_alone(broker: Broker, callers: Callers) -> None:
    await callers.submit(item("first"))
    await callers.submit(item("huge", 3 * MAX_MESSAGE_BYTES))
    await callers.submit(item("small"))
    await broker.confirm_all()
    assert broker.groups == [["first"], ["huge"], ["small"]]


async def test_full_messages_do_not_wait_but_only_so_many_are_under_way(
    broker: Broker, callers: Callers
) -> None:
    names = [str(number) for number in range(20)]
    for name in names:
        await callers.submit(item(name, MAX_MESSAGE_BYTES))
        assert broker.unconfirmed_count <= MAX_MESSAGES_IN_FLIGHT
    assert broker.groups == [[name] for name in names[:MAX_MESSAGES_IN_FLIGHT]]
    await broker.confirm(0)
    assert broker.unconfirmed_count == MAX_MESSAGES_IN_FLIGHT
    await broker.confirm_all()
    assert broker.groups == [[name] for name in names]


async def test_order_is_kept_within_a_lane(broker: Broker, callers: Callers) -> None:
    names = [str(number) for number in range(200)]
    for number, name in enumerate(names):
        await callers.submit(item(name, 1 + number * 997 % HALF))
        if number % 7 == 0 and broker.unconfirmed_count:
            await broker.confirm_all()
    await broker.confirm_all()
    assert [name for group in broker.groups for name in group] == names


@pytest.mark.parametrize("last", [0, 1, 2])
async def test_the_slices_of_a_callout_are_safe_once_the_last_is(
    broker: Broker, callers: Callers, last: int
) -> None:
    sliced = await callers.submit(*(item(name, MAX_MESSAGE_BYTES) for name in "abc"))
    assert broker.groups == [["a"], ["b"], ["c"]]
    for index in {0, 1, 2} - {last}:
        await broker.confirm(index)
        assert not sliced.done()
    await broker.confirm(last)
    assert sliced.done()


async def test_a_failed_publish_fails_exactly_its_group(broker: Broker, callers: Callers) -> None:
    before = await callers.submit(item("a"))
    failed = [await callers.submit(item(name)) for name in "bc"]
    await broker.confirm(0)
    after = await callers.submit(item("d"))
    await broker.fail(1, BrokerUnavailable("full"))
    for task in failed:
        with pytest.raises(BrokerUnavailable, match="full"):
            await task
    await broker.confirm(2)
    await asyncio.gather(before, after)
    assert broker.groups == [["a"], ["b", "c"], ["d"]]


async def test_after_a_failed_slice_the_rest_need_not_be_published(
    broker: Broker, callers: Callers
) -> None:
    count = MAX_MESSAGES_IN_FLIGHT + 3
    sliced = await callers.submit(*(item(str(n), MAX_MESSAGE_BYTES) for n in range(count)))
    await broker.fail(1, BrokerUnavailable("full"))
    with pytest.raises(BrokerUnavailable, match="full"):
        await sliced
    await broker.confirm_all()
    assert len(broker.groups) <= MAX_MESSAGES_IN_FLIGHT + 1


async def test_several_slices_that_fail_are_all_heard(broker: Broker, callers: Callers) -> None:
    sliced = await callers.submit(*(item(name, MAX_MESSAGE_BYTES) for name in "abc"))
    for index in range(3):
        await broker.fail(index, BrokerUnavailable("full"))
    with pytest.raises(BrokerUnavailable, match="full"):
        await sliced


async def test_whoever_gave_up_is_not_published(broker: Broker, callers: Callers) -> None:
    await callers.submit(item("a"))
    gone = await callers.submit(item("gone"))
    await callers.submit(item("b"))
    gone.cancel()
    await broker.confirm(0)
    assert broker.groups == [["a"], ["b"]]


async def test_when_all_gave_up_nothing_is_published_and_the_lane_goes_on(
    broker: Broker, callers: Callers
) -> None:
    await callers.submit(item("a"))
    gone = [await callers.submit(item("gone")) for _ in range(9)]
    for task in gone:
        task.cancel()
    await broker.confirm_all()
    await callers.submit(item("b"))
    assert broker.groups == [["a"], ["b"]]


@pytest.mark.parametrize("outcome", [None, BrokerUnavailable("full")])
async def test_who_gives_up_during_the_publish_harms_nobody(
    broker: Broker, callers: Callers, outcome: BrokerUnavailable | None
) -> None:
    gone = await callers.submit(item("a"), item("b"))
    gone.cancel()
    await turn()
    if outcome is None:
        await broker.confirm(0)
    else:
        await broker.fail(0, outcome)
    assert gone.cancelled()
    await callers.submit(item("c"))
    assert broker.groups[-1] == ["c"]


async def test_who_gives_up_in_the_same_moment_as_the_failure_hears_of_it(
    broker: Broker, callers: Callers
) -> None:
    waiting = await callers.submit(item("a"))
    task = asyncio.create_task(broker.fail(0, BrokerUnavailable("full")))
    for _ in range(4):
        await asyncio.sleep(0)
        waiting.cancel()
    await task
    assert waiting.done()


async def test_an_error_nobody_foresaw_fails_its_group_and_not_the_lane(broker: Broker) -> None:
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    callers = Callers(Grouper(broker.publish, DEADLINE_S))
    failed = await callers.submit(item("a"))
    await broker.fail(0, ZeroDivisionError())
    with pytest.raises(BrokerUnavailable, match="ZeroDivisionError"):
        await failed
    after = await callers.submit(item("b"))
    await broker.confirm(1)
    await after
    # It is told to the loop, which logs it.
    assert [type(context["exception"]) for context in unheard] == [ZeroDivisionError]


async def test_who_waits_too_long_for_a_confirm_is_told_so_and_is_not_published(
    broker: Broker,
) -> None:
    callers = Callers(Grouper(broker.publish, 0.01))
    slow = await callers.submit(item("a"))
    behind = await callers.submit(item("b"), item("c"))
    for task in (slow, behind):
        with pytest.raises(BrokerUnavailable, match="did not confirm in time"):
            await task
    await broker.confirm(0)
    assert broker.groups == [["a"]]
