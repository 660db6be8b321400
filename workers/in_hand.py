"""What a worker holds of each queue, since when the rest waits there, and how busy it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline.tally import Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.objects import SObject


# Between a settlement and the next hand-over nothing is in hand either, however much waits.
_QUIET_MS: Final = 1000


class InHand:
    """Counts deliveries from hand-over to settlement. Queues tell no age; deliveries do.

    Queues are first in, first out: whatever still waits came after the newest delivery that was
    taken, and after a second in which the broker had nothing to hand over.
    """

    def __init__(self, objects: Sequence[SObject]) -> None:
        self._counts = dict.fromkeys(objects, 0)
        self._waits_since: dict[SObject, int] = {}
        # Since when (Unix ms) there is none in hand, of those of which there is none.
        self._empty_since = dict.fromkeys(objects, 0)
        self._consumes = False

    def begin(self) -> None:
        """Note that consuming begins."""
        self._consumes = True
        self._empty_since = dict.fromkeys(self._counts, _now_ms())

    def end(self) -> None:
        """Note that all that is unsettled goes back."""
        self._consumes = False
        self._counts = dict.fromkeys(self._counts, 0)

    def take(self, sobject: SObject | None) -> None:
        """Count a delivery that was handed over."""
        self._count(sobject, 1)

    def settle(self, sobject: SObject | None) -> None:
        """Count a delivery that was settled."""
        self._count(sobject, -1)

    def read(self, sobject: SObject, received_at: int) -> None:
        """Note when what was taken came to ingest (Unix ms)."""
        # One that was handed over again is older than what was taken before it.
        self._waits_since[sobject] = max(received_at, self._waits_since.get(sobject, 0))

    def waiting(self) -> Mapping[SObject, Waiting]:
        """Return how things stand with each queue."""
        now_ms = _now_ms()
        for sobject, count in self._counts.items():
            if self._consumes and count == 0 and now_ms - self._empty_since[sobject] >= _QUIET_MS:
                self._waits_since[sobject] = now_ms
        return {
            sobject: Waiting(count, self._waits_since.get(sobject))
            for sobject, count in self._counts.items()
        }

    def _count(self, sobject: SObject | None, step: int) -> None:
        if sobject in self._counts:
            self._counts[sobject] = max(0, self._counts[sobject] + step)
            if self._counts[sobject] == 0:
                self._empty_since[sobject] = _now_ms()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Busy:
    """The time in which any lane has a batch under way: each second counts once."""

    def __init__(self) -> None:
        self._lane_count = 0
        self._counted_until_s = 0.0

    @property
    def at_rest(self) -> bool:
        """Whether no lane has a batch under way."""
        return self._lane_count == 0

    def begin(self, now_s: float) -> None:
        """Note that a lane began a batch."""
        if self._lane_count == 0:
            self._counted_until_s = now_s
        self._lane_count += 1

    def end(self, now_s: float) -> float:
        """Note that a lane ended its batch; return the time since one last did, or all began."""
        self._lane_count -= 1
        passed_s, self._counted_until_s = now_s - self._counted_until_s, now_s
        return passed_s
