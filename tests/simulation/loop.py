"""An event loop with a clock of its own: what runs next, and when, is drawn from a seed."""
# ruff: noqa: SLF001  an event loop is made of its handles

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Coroutine, Iterator

# Where the virtual clock stands as a run begins, Unix s; every captured_at is near it.
EPOCH_S: Final = 1_795_430_400
# Of so many callbacks that are ready the seed takes one: nobody may count on their order.
_CHOICE: Final = 4

Handlers = dict[int, "Callable[[], object]"]
# The signal handlers of the process that runs: many processes share one loop.
SIGNAL_HANDLERS: ContextVar[Handlers] = ContextVar("SIGNAL_HANDLERS")


class Stuck(Exception):
    """Nothing is ready and no timer runs: whoever waits would wait for ever."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks one by one; the clock jumps to the next timer when none is ready."""

    _ready: Any
    _scheduled: Any

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._now_s = 0.0
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._now_s

    def add_signal_handler(
        self, sig: int | signal.Signals, callback: Callable[..., object], *args: object
    ) -> None:
        SIGNAL_HANDLERS.get()[int(sig)] = partial(callback, *args)

    def remove_signal_handler(self, sig: int | signal.Signals) -> bool:
        return SIGNAL_HANDLERS.get().pop(int(sig), None) is not None

    def _write_to_self(self) -> None:
        pass

    def _run_once(self) -> None:
        while self._scheduled and (self._scheduled[0]._cancelled or not self._ready):
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                self._now_s = max(self._now_s, timer._when)
                self._ready.append(timer)
        while self._scheduled and self._scheduled[0]._when <= self._now_s:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            self._ready.append(timer)
        if not self._ready:
            raise Stuck
        if (ready_count := len(self._ready)) > 1:
            self._ready.rotate(-self._rng.randrange(min(_CHOICE, ready_count)))
        handle = self._ready.popleft()
        if not handle._cancelled:
            handle._run()


@contextlib.contextmanager
def _clocks_of(loop: SimulatedLoop) -> Iterator[None]:
    """Have everybody read the loop's clock. `random` is seeded for those who jitter."""
    with (
        patch.object(time, "monotonic", loop.time),
        patch.object(time, "time", lambda: EPOCH_S + loop.time()),
        patch.object(time, "time_ns", lambda: int((EPOCH_S + loop.time()) * 1e9)),
    ):
        yield


def simulate(main: Coroutine[object, object, None], seed: int) -> None:
    """Run `main` to its end, the same for the same seed."""
    loop = SimulatedLoop(random.Random(f"loop {seed}"))
    state = random.getstate()
    random.seed(seed)
    try:
        with _clocks_of(loop):
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(main)
            finally:
                _end(loop)
    finally:
        random.setstate(state)
        asyncio.set_event_loop(None)


def _end(loop: SimulatedLoop) -> None:
    for _ in range(5):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        # What tasks raise as they end stays in them; one that waits for nothing is left.
        with contextlib.suppress(Stuck):
            loop.run_until_complete(asyncio.wait(tasks, timeout=60))
    loop.close()
