"""How much of each org may wait for workers, so that a quiet one does not wait behind a noisy one.

Queues are first in, first out. So what comes in is bounded: while workers are behind by more than
`backlog_s` of work, those orgs are refused that have more than their share of it waiting. An org
that has less is taken, whatever the others do; one alone has all of it, and all of the workers. As
long as no worker works there is no telling, and the queues' own bound holds.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from ingest.line import Line
from ingest.problems import Problem, too_many
from pipeline import metrics
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.progress import Report

_MAX_RETRY_AFTER_S: Final = 60


def monotonic_ms() -> int:
    """Return the clock that this process's messages are stamped with."""
    return time.monotonic_ns() // 1_000_000


class Backlog:
    """The lines of all objects, as `source` (this ingest) filled them; 0 s: it bounds nothing."""

    def __init__(
        self, backlog_s: float, source: str, clock_ms: Callable[[], int] = monotonic_ms
    ) -> None:
        self._source = source
        self._clock_ms = clock_ms
        self._lines = (
            {sobject: Line(round(backlog_s * 1000), clock_ms()) for sobject in SObject}
            if backlog_s
            else {}
        )
        for sobject, line in self._lines.items():
            gauge = metrics.backlog_wait_seconds.labels(sobject)
            gauge.set_function(partial(self._wait_s, line))

    def check(self, org_id: str) -> None:
        """Refuse an org that has too much waiting in any line: as its package parks all it has.

        Raises:
            Problem: 429, until some of it is worked off.
        """
        now_ms = self._clock_ms()
        for sobject, line in self._lines.items():
            if line.is_over(org_id, now_ms):
                raise self._over(sobject, line)

    def admit(self, org_id: str, sobject: SObject, change_count: int) -> int:
        """Count what is about to be published; return when that was, for `published`.

        Raises:
            Problem: 429, this org has too much waiting in the object's line.
        """
        now_ms = self._clock_ms()
        if line := self._lines.get(sobject):
            if line.is_over(org_id, now_ms):
                raise self._over(sobject, line)
            line.admit(org_id, change_count, now_ms)
        return now_ms

    def published(self, sobject: SObject, admitted_ms: int) -> None:
        """Note that the broker confirmed what was admitted then."""
        if line := self._lines.get(sobject):
            line.published(admitted_ms)

    def hear(self, report: Report) -> None:
        """Take in how far a worker is."""
        now_ms = self._clock_ms()
        for sobject, settled_count in report.settled.items():
            if line := self._lines.get(sobject):
                marks = [mark for mark in report.marks if mark.object is sobject]
                line.hear(report.worker_id, settled_count, marks, self._source, now_ms)

    def _wait_s(self, line: Line) -> float:
        return line.wait_s(self._clock_ms())

    def _over(self, sobject: SObject, line: Line) -> Problem:
        retry_after_s = min(_MAX_RETRY_AFTER_S, max(1, math.ceil(self._wait_s(line))))
        return too_many(
            f"this org has more than its share of the {sobject} changes that wait for workers",
            retry_after_s,
        )
