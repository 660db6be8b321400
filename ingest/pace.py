"""How fast workers are with one object's queue, measured while they have enough to do."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

# The rate is of the last three seconds, of one at least, and of whole batches.
_WINDOW_MS: Final = 3000
_LEAST_MS: Final = 1000
# Nothing settled for so long, and for three times what a batch took lately, or for so long after
# all had rested: none works, and when one does, measuring begins anew.
_STALLED_MS: Final = 2000
_STALLED_BATCHES: Final = 3
_STALLED_AT_FIRST_MS: Final = 10_000


class _Settled(NamedTuple):
    """How many changes were settled by then."""

    at_ms: int
    change_count: int


class Pace:
    """Changes a second, from how many were settled by when."""

    def __init__(self, now_ms: int) -> None:
        self._rested_ms = now_ms
        self._settled: deque[_Settled] = deque([_Settled(now_ms, 0)])

    def rest(self, now_ms: int) -> None:
        """Note that workers have time to spare now: how fast they could be is not to be seen."""
        self._rested_ms = now_ms

    def settle(self, change_count: int, now_ms: int) -> None:
        """Note that so many more were settled."""
        total_count = self._settled[-1].change_count + change_count
        if self._settled[-1].at_ms < self._rested_ms:
            self._settled = deque([self._settled[-1]._replace(at_ms=self._rested_ms)])
        if self._is_stalled(now_ms):
            self._settled.clear()
        self._settled.append(_Settled(now_ms, total_count))
        while len(self._settled) > 2 and now_ms - self._settled[1].at_ms >= _WINDOW_MS:  # noqa: PLR2004  both ends
            self._settled.popleft()

    def per_s(self, now_ms: int) -> float | None:
        """Return the rate, or None: it is not known yet, or none works now."""
        first, last = self._settled[0], self._settled[-1]
        if last.at_ms - first.at_ms < _LEAST_MS or self._is_stalled(now_ms):
            return None
        return (last.change_count - first.change_count) * 1000 / (last.at_ms - first.at_ms)

    def _is_stalled(self, now_ms: int) -> bool:
        first, last = self._settled[0], self._settled[-1]
        if len(self._settled) == 1:
            return now_ms - last.at_ms > _STALLED_AT_FIRST_MS
        batch_ms = (last.at_ms - first.at_ms) / (len(self._settled) - 1)
        return now_ms - last.at_ms > max(_STALLED_MS, _STALLED_BATCHES * batch_ms)
