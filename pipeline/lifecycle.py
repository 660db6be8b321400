"""How a process runs and ends: services side by side, the first signal drains, the second kills."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    Service = Callable[[asyncio.Event], Awaitable[None]]

log = structlog.get_logger()

_KILL_AFTER_S: Final = 1.0
_LET_GO_S: Final = 2.0
_LOOK_DRAIN_S: Final = 1.0
_COLLECT_AFTER_COUNT: Final = 20_000


class Killed(RuntimeError):
    """A service was ended before it had drained."""


def rest_collector() -> None:
    """Have the garbage collector look at less, and less often: for a process that runs on.

    What was imported lives as long as the process. Changes and callouts come in thousands and go
    by reference counts; the default has each seven hundred of them looked through for cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_COUNT, *gc.get_threshold()[1:])


async def run_until_stopped(services: Mapping[str, Service]) -> None:
    """Run every service until a signal or a failure, then let all of them drain.

    A service gets the stop event and returns once it has drained. When one fails, or returns
    unasked, the event is set for its peers, which drain before the failure is raised; a bare
    TaskGroup would cancel them in mid-drain.

    Raises:
        ExceptionGroup: the failures of the services that failed.
    """
    stop = asyncio.Event()
    tasks = {asyncio.ensure_future(run(stop)): name for name, run in services.items()}
    remove = _stop_on_signals(stop, tasks)
    failures: list[Exception] = []
    try:
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if task.cancelled():
                    failures.append(Killed(f"{tasks[task]} was killed before it drained"))
                elif isinstance(error := task.exception(), Exception):
                    log.error("service_failed", service=tasks[task], exc_info=error)
                    failures.append(error)
                elif error is not None:
                    raise error
            stop.set()
    finally:
        remove()
        # None is left, unless this very call was cancelled: then its services end with it.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise ExceptionGroup("not every service drained", failures)


def _stop_on_signals(
    stop: asyncio.Event, tasks: Iterable[asyncio.Future[None]]
) -> Callable[[], None]:
    loop = asyncio.get_running_loop()

    def on_signal(received: signal.Signals) -> None:
        if stop.is_set():
            log.warning("killed", signal=received.name)
            for task in tasks:
                task.cancel()
            # What then still waits, for a frozen database to let go of a query, is not waited for.
            loop.call_later(_KILL_AFTER_S, os.kill, os.getpid(), signal.SIGKILL)
            return
        log.info("draining", signal=received.name)
        stop.set()

    watched = (signal.SIGINT, signal.SIGTERM)
    for number in watched:
        loop.add_signal_handler(number, on_signal, number)

    def remove() -> None:
        for number in watched:
            loop.remove_signal_handler(number)

    return remove


async def wait_or_stop(stop: asyncio.Event, seconds: float) -> bool:
    """Wait for `seconds` or the stop event; tell whether it was the stop event."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


async def look_every(
    seconds: float, look: Callable[[], Awaitable[None]], stop: asyncio.Event
) -> None:
    """Look at once and then every so many seconds until `stop`, which cuts a look short after 1 s.

    What a look raises ends it: whoever looks at what may fail says what then holds.
    """

    async def looking(stop: asyncio.Event) -> None:
        pause_s = 0.0
        while not await wait_or_stop(stop, pause_s):
            await look()
            pause_s = seconds

    await finish_within(looking, stop, _LOOK_DRAIN_S)


async def finish_within(service: Service, stop: asyncio.Event, drain_s: float) -> None:
    """Run `service`; give it `drain_s` from the stop event on, then cancel it and return.

    For work that a later run takes up where it was. What a frozen database holds is not waited
    for, since it does not let go of a query.
    """
    work = asyncio.ensure_future(service(stop))
    try:
        await first_of(stop.wait(), asyncio.shield(work))
        if not (await asyncio.wait({work}, timeout=drain_s))[0]:
            log.warning("drain_cut_short", drain_s=drain_s)
            work.cancel()
            await asyncio.wait({work}, timeout=_LET_GO_S)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if work.done() and not work.cancelled():
        work.result()


async def first_of(*awaitables: Awaitable[object], timeout_s: float | None = None) -> bool:
    """Wait for the first of several things, or `timeout_s`, and drop the rest.

    Tells whether any of them happened.
    """
    waits = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return bool(done)
