"""Sends prepared requests, each again when it is told to come later, until all are accepted.

    python -m tests.autoscaling.sender REQUESTS PORT --connections 64

A process of its own, so that what it costs is not taken for what it measures. Prints, twice a
second and at the end, how many requests were answered with each status so far, as JSON.
"""

from __future__ import annotations

import argparse
import heapq
import selectors
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tests.benchmarks import callouts
from tests.overload.sender import Line

if TYPE_CHECKING:
    from collections.abc import Sequence

_ACCEPTED: Final = 202
_LATER: Final = frozenset({429, 503})
_TELL_EVERY_S: Final = 0.5
_WAIT_S: Final = 0.05
_READ: Final = selectors.EVENT_READ
_BOTH: Final = selectors.EVENT_READ | selectors.EVENT_WRITE


class Sender:
    """Sends over so many connections, with one request under way on each."""

    def __init__(self, requests: Sequence[bytes], port: int, connection_count: int) -> None:
        self._requests = requests
        self._answers: Counter[int] = Counter()
        # When each may be sent, and its place.
        self._due = [(0.0, place) for place in range(len(requests))]
        self._poll = selectors.DefaultSelector()
        self._free = deque(Line(port) for _ in range(connection_count))
        for line in self._free:
            self._poll.register(line.socket, _READ, line)

    def send(self) -> None:
        """Send all.

        Raises:
            RuntimeError: one was refused for good, or not answered.
        """
        told_s = time.monotonic()
        while self._answers[_ACCEPTED] < len(self._requests):
            self._begin()
            for key, events in self._poll.select(_WAIT_S):
                self._go_on(key.data, events)
            if time.monotonic() - told_s > _TELL_EVERY_S:
                self._tell()
                told_s = time.monotonic()
        self._tell()

    def _begin(self) -> None:
        while self._free and self._due and self._due[0][0] <= time.monotonic():
            line, (_, place) = self._free.popleft(), heapq.heappop(self._due)
            if not line.send(place, self._requests[place]):
                self._poll.modify(line.socket, _BOTH, line)

    def _go_on(self, line: Line, events: int) -> None:
        if events & selectors.EVENT_WRITE and line.send_more():
            self._poll.modify(line.socket, _READ, line)
        if not events & _READ or (answer := line.answered()) is None:
            return
        self._answers[answer.status] += 1
        self._free.append(line)
        if answer.status in _LATER:
            heapq.heappush(self._due, (time.monotonic() + answer.retry_after_s, line.place))
        elif answer.status != _ACCEPTED:
            raise RuntimeError(f"a callout was answered {answer.status}")

    def _tell(self) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(self._answers) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Send."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=64)
    told = parser.parse_args()
    Sender(callouts.read(told.requests), told.port, told.connections).send()


if __name__ == "__main__":
    main()
