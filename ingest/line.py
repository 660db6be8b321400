"""What an ingest put into one object's queue and workers have not finished yet, by org.

Nothing is counted up and down, so nothing can drift: unfinished is what was admitted after the
place where workers are. Both are times of this process's own clock, in ms.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.progress import Mark

_BUCKET_MS: Final = 100
_JUDGE_EVERY_MS: Final = 100
# What waits no longer than this waits for its own batch alone; past the other, workers are behind.
_PROMPT_MS: Final = 250
_BEHIND_MS: Final = 1000
# Workers tell every second. What one that fell silent had in hand went back, or will.
_SILENT_MS: Final = 5000
# One worker that is stuck with what it holds does not stop the line.
_MAX_IN_HAND_MS: Final = 10_000
# After an outage more waits than is to wait: so much of the workers' rate comes in even then.
_LEAST_OPEN: Final = 0.5


class _Bucket(NamedTuple):
    """What was admitted in 100 ms, by org."""

    since_ms: int
    counts: Counter[str]


class _Told(NamedTuple):
    """What a worker told last."""

    at_ms: int
    settled_count: int
    oldest_ms: int | None = None


class Line:
    """One object's line, in which `backlog_ms` of work may wait."""

    def __init__(self, backlog_ms: int, now_ms: int) -> None:
        self._backlog_ms = backlog_ms
        self._buckets: deque[_Bucket] = deque()
        # The sums of the buckets.
        self._counts: Counter[str] = Counter()
        self._total_count = 0
        # All that was admitted up to the mark is finished; the newest that workers took, and the
        # newest that is sure to be in the queue, when it was admitted.
        self._mark_ms = self._taken_ms = self._published_ms = now_ms
        # Buckets that were dropped unfinished: when the oldest and the newest of them were begun.
        self._dropped_ms = (0, now_ms - _BUCKET_MS)
        self._workers: dict[str, _Told] = {}
        # Other ingests, by when workers last took something new of theirs.
        self._others: dict[str, tuple[int, int]] = {}
        self._pace = Pace(now_ms)
        self._judged_ms = now_ms
        self._room_count = self._share_count = float("inf")
        self._wait_s = 0.0

    def admit(self, org_id: str, change_count: int, now_ms: int) -> None:
        """Count what is about to be published."""
        if not self._buckets or now_ms - self._buckets[-1].since_ms >= _BUCKET_MS:
            self._buckets.append(_Bucket(now_ms, Counter()))
        self._buckets[-1].counts[org_id] += change_count
        self._counts[org_id] += change_count
        self._total_count += change_count

    def published(self, admitted_ms: int) -> None:
        """Note that what was admitted then is in the queue: workers will come to it."""
        self._published_ms = max(self._published_ms, admitted_ms)

    def is_over(self, org_id: str, now_ms: int) -> bool:
        """Tell whether too much waits, and of this org more than its share."""
        if now_ms - self._judged_ms >= _JUDGE_EVERY_MS:
            self._judge(now_ms)
        return (
            self._total_count >= self._room_count
            and self._counts.get(org_id, 0) > self._share_count
        )

    def wait_s(self, now_ms: int) -> float:
        """Return how long what comes in now waits, as far as workers told."""
        self._judge(now_ms)
        return self._wait_s

    def hear(
        self,
        worker_id: str,
        settled_count: int,
        marks: Iterable[Mark],
        source: str,
        now_ms: int,
    ) -> None:
        """Take in what a worker told of this object; `source` is this ingest."""
        known = self._workers.get(worker_id)
        oldest_ms = None
        for mark in marks:
            if mark.source == source:
                oldest_ms = mark.oldest_ms
                self._taken_ms = max(self._taken_ms, mark.taken_ms)
            elif mark.taken_ms > self._others.get(mark.source, (-1, 0))[0]:
                self._others[mark.source] = (mark.taken_ms, now_ms)
        self._workers[worker_id] = _Told(now_ms, settled_count, oldest_ms)
        # What it settled before it was heard of is no part of any rate here.
        if known is not None and settled_count > known.settled_count:
            self._pace.settle(settled_count - known.settled_count, now_ms)
        self._judge(now_ms)

    def _judge(self, now_ms: int) -> None:
        """Find how much may wait here, and how much of it is an org's share."""
        self._judged_ms = now_ms
        self._move_mark(now_ms)
        age_ms = self._forget(now_ms)
        if age_ms <= _PROMPT_MS:
            self._pace.rest(now_ms)
        per_s = self._pace.per_s(now_ms)
        self._wait_s = age_ms / 1000
        self._room_count = self._share_count = float("inf")
        if per_s is None or age_ms < _BEHIND_MS:
            return
        self._wait_s = max(self._wait_s, self._total_count / per_s)
        # Past what is to wait, less comes in than goes out.
        is_open = max(_LEAST_OPEN, min(1.0, self._backlog_ms / age_ms))
        self._room_count = per_s * self._backlog_ms / 1000 * is_open / self._ingest_count(now_ms)
        self._share_count = fair_share(self._counts.values(), self._room_count)

    def _move_mark(self, now_ms: int) -> None:
        for worker_id, told in list(self._workers.items()):
            if now_ms - told.at_ms > _SILENT_MS:
                del self._workers[worker_id]
        in_hand = [told.oldest_ms for told in self._workers.values() if told.oldest_ms is not None]
        mark_ms = min([self._taken_ms, *(oldest_ms - 1 for oldest_ms in in_hand)])
        self._mark_ms = max(mark_ms, self._taken_ms - _MAX_IN_HAND_MS)

    def _forget(self, now_ms: int) -> int:
        """Drop what is finished, or waits too long to count; return how long the oldest waits."""
        if self._published_ms <= self._mark_ms:
            # What else was admitted the broker refused, or is about to confirm.
            self._buckets.clear()
            self._counts.clear()
            self._total_count = 0
            self._dropped_ms = (0, self._mark_ms - _BUCKET_MS)
            return 0
        # What has waited for longer than it is to wait does not come in again by being counted.
        past_ms = max(self._mark_ms, now_ms - self._backlog_ms) - _BUCKET_MS
        while self._buckets and self._buckets[0].since_ms <= past_ms:
            since_ms, counts = self._buckets.popleft()
            self._counts -= counts
            self._total_count -= counts.total()
            if since_ms + _BUCKET_MS > self._mark_ms:
                oldest_ms, newest_ms = self._dropped_ms
                oldest_ms = oldest_ms if newest_ms + _BUCKET_MS > self._mark_ms else since_ms
                self._dropped_ms = (oldest_ms, since_ms)
        oldest_ms, newest_ms = self._dropped_ms
        if newest_ms + _BUCKET_MS > self._mark_ms:
            return now_ms - max(self._mark_ms, oldest_ms)
        return now_ms - self._buckets[0].since_ms if self._buckets else 0

    def _ingest_count(self, now_ms: int) -> int:
        """Return how many ingests have work here: each bounds its own part."""
        for source, (_, at_ms) in list(self._others.items()):
            if now_ms - at_ms > _SILENT_MS:
                del self._others[source]
        return 1 + len(self._others)


def fair_share(counts: Iterable[int], room_count: float) -> float:
    """Return the share of `room_count` at which those who have less leave the rest to the others.

    If there is room for all, it is what the smallest could have if all grew.
    """
    ascending = sorted(counts)
    left = room_count
    for place, count in enumerate(ascending):
        share = left / (len(ascending) - place)
        if count >= share:
            return share
        left -= count
    return room_count / max(1, len(ascending))
