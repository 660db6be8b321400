"""Ingests, queue and workers in a time of their own, for what admission makes of a flood.

The queue is first in, first out, each worker holds messages before it comes to them, and reports
come when they come: all that the real ones differ in from a counter that knows everything.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

from ingest.backlog import Backlog
from ingest.problems import Problem
from pipeline.broker import SENT_HEADER, SOURCE_HEADER
from pipeline.objects import SObject
from pipeline.progress import Report
from workers.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aio_pika.abc import AbstractIncomingMessage

STEP_MS: Final = 10
_PREFETCH_COUNT: Final = 128
_BATCH_COUNT: Final = 1000
_BATCH_MS: Final = 10
_REPORT_EVERY_MS: Final = 250


@dataclass
class Message:
    """What one ingest published at once: how many changes of which org, and when each came."""

    headers: dict[str, object]
    callouts: list[tuple[str, int]]
    admitted_ms: int
    routing_key: str = "lead.update"
    redelivered: bool = False

    @property
    def count(self) -> int:
        return sum(count for _, count in self.callouts)


@dataclass
class Worker:
    """Commits batches at a rate, and tells where it is."""

    per_s: float
    progress: Progress = field(default_factory=Progress)
    held: deque[Message] = field(default_factory=deque)
    batch: list[Message] = field(default_factory=list)
    done_ms: int = 0


class Flood:
    """Time goes on by `run`; what became of each org's callouts is to be read."""

    def __init__(
        self, *rates: float, ingest_count: int = 1, backlog_s: float = 3.0, lost: float = 0.0
    ) -> None:
        self.now_ms = 1_000_000
        self.ingests = [
            Backlog(backlog_s, f"ingest {number}", lambda: self.now_ms)
            for number in range(ingest_count)
        ]
        self.workers = [Worker(per_s) for per_s in rates]
        self.waits_ms: defaultdict[str, list[int]] = defaultdict(list)
        self.committed: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self._queue: deque[Message] = deque()
        self._owed: defaultdict[tuple[str, int], float] = defaultdict(float)
        self._lost = lost
        self._turn = 0
        self._random = random.Random(7)

    @property
    def waiting_count(self) -> int:
        """How many changes are accepted and not committed."""
        return self.accepted.total() - self.committed.total()

    def run(
        self, seconds: float, offers: Mapping[str, float] | None = None, change_count: int = 1
    ) -> None:
        """Let each org offer so many callouts a second, of so many changes each."""
        for _ in range(round(seconds * 1000 / STEP_MS)):
            self.now_ms += STEP_MS
            for number in range(len(self.ingests)):
                self._take_in(number, offers or {}, change_count)
            self._hand_over()
            for place, worker in enumerate(self.workers):
                self._work(worker)
                if (self.now_ms + 70 * place) % _REPORT_EVERY_MS == 0:
                    self._report(worker)

    def kill(self, worker: Worker) -> None:
        """End a worker: all that it holds goes back, to be handed over again."""
        self.workers.remove(worker)
        back = [*worker.batch, *worker.held]
        for message in back:
            message.redelivered = True
        self._queue.extendleft(reversed(back))

    def _take_in(self, number: int, offers: Mapping[str, float], change_count: int) -> None:
        callouts = []
        for org_id, per_s in offers.items():
            key = (org_id, number)
            self._owed[key] += per_s * STEP_MS / 1000 / len(self.ingests)
            while self._owed[key] >= 1:
                self._owed[key] -= 1
                try:
                    self.ingests[number].check(org_id)
                except Problem as problem:
                    self.refused[org_id] += 1
                    self.problems.append(problem)
                else:
                    # Whose body is read is not refused after all at the same moment.
                    ingest = self.ingests[number]
                    admitted_ms = ingest.admit(org_id, SObject.LEAD, change_count)
                    ingest.published(SObject.LEAD, admitted_ms)
                    self.accepted[org_id] += change_count
                    callouts.append((org_id, change_count))
        if callouts:
            headers = {SOURCE_HEADER: f"ingest {number}", SENT_HEADER: self.now_ms}
            self._queue.append(Message(headers, callouts, self.now_ms))

    def _hand_over(self) -> None:
        """Give each worker that may hold more one message after the other, by turns."""
        while self._queue:
            free = [
                worker
                for worker in self.workers
                if len(worker.held) + len(worker.batch) < _PREFETCH_COUNT
            ]
            if not free:
                return
            worker = free[self._turn % len(free)]
            self._turn += 1
            message = self._queue.popleft()
            worker.progress.take(_as_delivery(message))
            worker.held.append(message)

    def _work(self, worker: Worker) -> None:
        if worker.batch and self.now_ms >= worker.done_ms:
            for message in worker.batch:
                worker.progress.settle(_as_delivery(message), message.count)
                for org_id, count in message.callouts:
                    self.committed[org_id] += count
                    self.waits_ms[org_id].append(self.now_ms - message.admitted_ms)
            worker.batch = []
        if worker.batch or not worker.per_s:
            return
        count = 0
        while worker.held and count < _BATCH_COUNT:
            worker.batch.append(worker.held.popleft())
            count += worker.batch[-1].count
        worker.done_ms = self.now_ms + _BATCH_MS + round(count * 1000 / worker.per_s)

    def _report(self, worker: Worker) -> None:
        if self._random.random() < self._lost:
            return
        told = msgspec.msgpack.encode(worker.progress.report())
        for ingest in self.ingests:
            ingest.hear(msgspec.msgpack.decode(told, type=Report))


def _as_delivery(message: Message) -> AbstractIncomingMessage:
    return cast("AbstractIncomingMessage", message)
