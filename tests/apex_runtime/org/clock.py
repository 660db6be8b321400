"""Virtual time, and what is to happen at which moment of it."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """The org's time in Unix ms; it moves only when it is told to."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms

    def set_back(self, *, minutes: float) -> None:
        """Let it be earlier, so that what happens next ends at the real time, say.

        What is on an agenda stays due at its moment.
        """
        self.now_ms -= round(minutes * 60_000)


class Agenda:
    """What is due when; of two things due at once the one that was added first comes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def add(self, due_ms: int, step: Callable[[], None]) -> None:
        """Have `step` run at a moment, or as soon as possible when that is past."""
        heapq.heappush(self._due, (due_ms, next(self._order), step))

    @property
    def next_due_ms(self) -> int | None:
        """The moment of the next step, None when there is nothing to do."""
        return self._due[0][0] if self._due else None

    def run_due(self, until_ms: int | None = None) -> None:
        """Run what is due, and what falls due meanwhile.

        With `until_ms` up to that moment, each step at its own virtual time, and end there.
        """
        while self._due and self._due[0][0] <= (until_ms or self._clock.now_ms):
            due_ms, _, step = heapq.heappop(self._due)
            self._clock.now_ms = max(self._clock.now_ms, due_ms)
            step()
        self._clock.now_ms = max(self._clock.now_ms, until_ms or 0)
