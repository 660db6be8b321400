"""Sends prepared requests over many connections, as fast as they are answered or at a rate.

    python -m tests.benchmarks.sender REQUESTS PORT RESULT --connections 64 [--rate 500]

A process of its own, so that what it costs is not taken for what it measures. At a rate, a request
counts from when it was due: waiting for a free connection is part of its latency. The result holds
two doubles (Unix seconds) a request, in their order: when it was sent, or due, and answered.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import time
from array import array
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import callouts

if TYPE_CHECKING:
    from collections.abc import Sequence

_RECEIVE_BYTES: Final = 65_536
_ACCEPTED: Final = b"HTTP/1.1 202"
_STALLED_S: Final = 30.0


class Connection:
    """One connection with at most one request under way, by its place."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.place = -1
        self._unsent = memoryview(b"")
        self._received = b""

    def send(self, place: int, request: bytes) -> bool:
        """Begin a request; tell whether all of it is sent."""
        self.place = place
        self._unsent = memoryview(request)
        return self.send_more()

    def send_more(self) -> bool:
        """Send what fits; tell whether all is sent."""
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            return False
        return not self._unsent

    def receive(self) -> bool:
        """Take what has come; tell whether the answer is whole.

        Raises:
            RuntimeError: the answer is not 202.
        """
        self._received += (came := self.socket.recv(_RECEIVE_BYTES))
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not came or (found and not head.startswith(_ACCEPTED)):
            raise RuntimeError(f"not accepted: {self._received[:500]!r}")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length):
            return False
        self._received = b""
        return True


def send(
    requests: Sequence[bytes], port: int, *, connection_count: int, rate: float | None
) -> tuple[array[float], array[float]]:
    """Send all requests; return when each was sent, or due at a rate (1/s), and answered."""
    sent, answered = (array("d", bytes(8 * len(requests))) for _ in range(2))
    poll = selectors.DefaultSelector()
    free: deque[Connection] = deque()
    for _ in range(min(connection_count, len(requests))):
        connection = Connection(port)
        poll.register(connection.socket, selectors.EVENT_READ, connection)
        free.append(connection)
    begun = done = 0
    start = time.time()
    while done < len(requests):
        while free and begun < len(requests):
            due = start + begun / rate if rate else time.time()
            if rate and due > time.time():
                break
            connection = free.popleft()
            sent[begun] = due
            if not connection.send(begun, requests[begun]):
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                poll.modify(connection.socket, both, connection)
            begun += 1
        waiting = free and begun < len(requests)
        timeout_s = max(0.0, start + begun / rate - time.time()) if waiting and rate else _STALLED_S
        for key, events in poll.select(timeout_s):
            connection = key.data
            if events & selectors.EVENT_WRITE and connection.send_more():
                poll.modify(connection.socket, selectors.EVENT_READ, connection)
            if events & selectors.EVENT_READ and connection.receive():
                answered[connection.place] = time.time()
                free.append(connection)
                done += 1
    return sent, answered


def main() -> None:
    """Send, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("result", type=Path)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    sent, answered = send(
        callouts.read(options.requests),
        options.port,
        connection_count=options.connections,
        rate=options.rate,
    )
    options.result.write_bytes(sent.tobytes() + answered.tobytes())


if __name__ == "__main__":
    main()
