from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal

import pytest

from pipeline import lifecycle
from pipeline.lifecycle import (
    finish_within,
    first_of,
    look_every,
    run_until_stopped,
    wait_or_stop,
)

DEADLINE_S = 10
ENOUGH_LOOKS = 3


class Drained:
    """A service that drains in some steps once it is told to stop, and remembers it."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.draining = asyncio.Event()
        self.drained = False

    async def __call__(self, stop: asyncio.Event) -> None:
        self.started.set()
        await stop.wait()
        self.draining.set()
        for _ in range(20):
            await asyncio.sleep(0)
        self.drained = True


class Stuck:
    """A service that never drains by itself."""

    def __init__(self) -> None:
        self.draining = asyncio.Event()
        self.cancelled = False

    async def __call__(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.draining.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_drains(number: signal.Signals) -> None:
    one, other = Drained(), Drained()
    async with asyncio.timeout(DEADLINE_S):
        running = asyncio.create_task(run_until_stopped({"one": one, "other": other}))
        await one.started.wait()
        signal.raise_signal(number)
        await running
    assert one.drained
    assert other.drained


async def test_the_second_signal_kills_what_does_not_drain_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A process that even then does not end kills itself: this one must not.
    monkeypatch.setattr(os, "kill", lambda *_: None)
    stuck, peer = Stuck(), Drained()
    async with asyncio.timeout(DEADLINE_S):
        running = asyncio.create_task(run_until_stopped({"stuck": stuck, "peer": peer}))
        await peer.started.wait()
        signal.raise_signal(signal.SIGTERM)
        await stuck.draining.wait()
        while not peer.drained:  # noqa: ASYNC110  the loop itself is what is waited for
            await asyncio.sleep(0)
        assert not running.done()
        signal.raise_signal(signal.SIGINT)
        with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="stuck was killed")):
            await running
    assert stuck.cancelled


async def test_a_service_that_fails_lets_its_peers_drain_and_its_error_is_raised() -> None:
    peer = Drained()

    async def fail(_: asyncio.Event) -> None:
        await peer.started.wait()
        raise LookupError("the disk is full")

    async with asyncio.timeout(DEADLINE_S):
        with pytest.RaisesGroup(pytest.RaisesExc(LookupError, match="the disk is full")):
            await run_until_stopped({"fails": fail, "peer": peer})
    assert peer.drained


async def test_the_errors_of_all_that_fail_are_raised() -> None:
    async def fail(_: asyncio.Event) -> None:
        raise LookupError("at once")

    async def fail_draining(stop: asyncio.Event) -> None:
        await stop.wait()
        raise KeyError("in its drain")

    async with asyncio.timeout(DEADLINE_S):
        with pytest.RaisesGroup(LookupError, KeyError):
            await run_until_stopped({"fails": fail, "fails too": fail_draining})


async def test_a_service_that_returns_unasked_ends_the_process_in_order() -> None:
    peer = Drained()

    async def leave(_: asyncio.Event) -> None:
        await peer.started.wait()

    async with asyncio.timeout(DEADLINE_S):
        await run_until_stopped({"leaves": leave, "peer": peer})
    assert peer.drained


async def test_whoever_is_cancelled_leaves_no_service_behind() -> None:
    service = Drained()
    running = asyncio.create_task(run_until_stopped({"service": service}))
    async with asyncio.timeout(DEADLINE_S):
        await service.started.wait()
        before = asyncio.all_tasks()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(before - asyncio.all_tasks()) == 2


async def test_signals_mean_what_they_meant_before_once_it_is_over() -> None:
    def handlers() -> list[object]:
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    before = handlers()
    during: list[object] = []

    async def leave(_: asyncio.Event) -> None:
        during.extend(handlers())

    await run_until_stopped({"leaves": leave})
    assert during != before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_waiting_tells_the_stop_event_from_the_time() -> None:
    stop = asyncio.Event()
    assert await wait_or_stop(stop, 0.001) is False
    stop.set()
    assert await wait_or_stop(stop, DEADLINE_S) is True


async def test_it_looks_at_once_and_again_until_the_stop_event() -> None:
    stop, looks = asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == ENOUGH_LOOKS:
            stop.set()

    async with asyncio.timeout(DEADLINE_S):
        await look_every(0.001, look, stop)
    assert looks == ENOUGH_LOOKS


async def test_a_look_that_fails_ends_the_looking() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  its own
        await look_every(DEADLINE_S, fail, asyncio.Event())


async def test_the_first_of_several_is_enough_and_the_rest_are_dropped() -> None:
    happened, never = asyncio.Event(), asyncio.Event()
    happened.set()
    before = asyncio.all_tasks()
    async with asyncio.timeout(DEADLINE_S):
        await first_of(never.wait(), happened.wait())
        await first_of(never.wait(), timeout_s=0.001)
    assert asyncio.all_tasks() == before


async def test_a_service_that_does_not_let_go_is_left_after_its_drain() -> None:
    stop, let_go, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def frozen(_: asyncio.Event) -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()
        gone.set()

    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await finish_within(frozen, stop, 0.001)
        let_go.set()
        await gone.wait()


async def test_a_service_that_fails_fails_whoever_waits_for_it() -> None:
    async def fail(_: asyncio.Event) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  its own
        await finish_within(fail, asyncio.Event(), DEADLINE_S)


def test_the_collector_leaves_what_was_imported_alone_and_looks_less_often() -> None:
    before = gc.get_threshold()
    gc.set_threshold(700, *before[1:])
    try:
        lifecycle.rest_collector()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > 700
    finally:
        gc.set_threshold(*before)
