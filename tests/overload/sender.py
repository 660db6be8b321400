"""Callouts of some orgs by turns, at a rate, over many connections; what became of each.

    python -m tests.overload.sender PORT SECONDS --rate 500 --connections 300 ORG=SECRET…

A process of its own, so that it shares nothing but the machine with what it measures. The rate is
kept whatever is answered, as long as a connection is free; 0 is as fast as there are answers. The
answers are printed as JSON: for each the org, the capture, when it was sent (Unix s), how long the
answer took (s), its status (0: the connection ended) and its Retry-After (s).
"""

from __future__ import annotations

import argparse
import itertools
import selectors
import sys
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipeline.signing import signed_headers
from tests.benchmarks.sender import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# For the last answers, after the last callout.
_LAST_S: Final = 10.0
_PAUSE_S: Final = 0.002
_LOOK_EVERY_COUNT: Final = 16
_RECORDS: Final = 5000
_SERIAL: Final = itertools.count()


class Answer(NamedTuple):
    """What became of one callout."""

    org_id: str
    capture_id: str
    sent_s: float
    took_s: float
    status: int
    retry_after_s: int


class Line(Connection):
    """One connection, whose answers may be refusals."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.org_id = self.capture_id = ""
        self.sent_s = 0.0

    def begin(self, org_id: str, secret: str, change_count: int) -> bool:
        """Send a callout; tell whether all of it is sent."""
        self.org_id, self.capture_id, self.sent_s = org_id, str(uuid.uuid4()), time.time()
        return self.send(0, request(org_id, secret, self.capture_id, change_count))

    def answered(self) -> Answer | None:
        """Take what has come; return the answer if it is whole."""
        try:
            came = self.socket.recv(65_536)
        except ConnectionError:
            came = b""
        if not came:
            return self._answer(0, 0)
        self._received += came
        head, found, body = self._received.partition(b"\r\n\r\n")
        head = head.lower()
        if not found or len(body) < int(_value(head, b"content-length: ") or 0):
            return None
        self._received = b""
        return self._answer(int(head.split()[1]), int(_value(head, b"retry-after: ") or 0))

    def _answer(self, status: int, retry_after_s: int) -> Answer:
        took_s = time.time() - self.sent_s
        return Answer(self.org_id, self.capture_id, self.sent_s, took_s, status, retry_after_s)


def _value(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0]


def request(org_id: str, secret: str, capture_id: str, change_count: int) -> bytes:
    """Return a whole signed request: leads that become hot."""
    changes = ",".join(
        f'{{"old":{{"Id":"{lead}","Status":"Open"}},"new":{{"Id":"{lead}","Status":"Qualified",'
        f'"Email":"{lead}@example.com","Company":"Acme","Description":"{"x" * 1000}"}}}}'
        for lead in (f"00Q{next(_SERIAL) % _RECORDS:012d}" for _ in range(change_count))
    )
    body = (
        f'{{"version":1,"org_id":"{org_id}","object":"Lead","operation":"update","capture_id":'
        f'"{capture_id}","transaction_id":"{capture_id[:15]}","sequence":0,"captured_at":'
        f'{time.time_ns() // 1_000_000},"actor_id":null,"changes":[{changes}]}}'
    ).encode()
    signed = signed_headers(secret, f"msg_{capture_id}", int(time.time()), body)
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return (
        f"POST /v1/orgs/{org_id}/changes HTTP/1.1\r\nHost: penstock\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class Sender:
    """Sends the orgs' callouts by turns."""

    def __init__(
        self, port: int, secrets: Mapping[str, str], connection_count: int, change_count: int
    ) -> None:
        self._port = port
        self._orgs = itertools.cycle(secrets.items())
        self._change_count = change_count
        self._poll = selectors.DefaultSelector()
        self._free: deque[Line] = deque()
        self._under_way_count = 0
        for _ in range(connection_count):
            self._connect()

    def send(self, seconds: float, rate: float) -> Iterator[Answer]:
        """Yield the answers as they come."""
        start = time.time()
        begun_count = 0
        while (now := time.time()) < start + seconds or self._under_way_count:
            if now > start + seconds + _LAST_S:
                return
            is_due = now < start + seconds and (not rate or begun_count < (now - start) * rate)
            if is_due and self._free:
                self._begin()
                begun_count += 1
                # Answers are looked at now and then, however far behind the rate it is.
                if begun_count % _LOOK_EVERY_COUNT:
                    continue
            yield from self._answers(0 if is_due and self._free else _PAUSE_S)

    def _connect(self) -> None:
        line = Line(self._port)
        self._poll.register(line.socket, selectors.EVENT_READ, line)
        self._free.append(line)

    def _begin(self) -> None:
        line = self._free.popleft()
        self._under_way_count += 1
        if not line.begin(*next(self._orgs), self._change_count):
            self._poll.modify(line.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, line)

    def _answers(self, timeout_s: float) -> Iterator[Answer]:
        for key, events in self._poll.select(timeout_s):
            line = key.data
            if events & selectors.EVENT_WRITE and line.send_more():
                self._poll.modify(line.socket, selectors.EVENT_READ, line)
            if not events & selectors.EVENT_READ or (answer := line.answered()) is None:
                continue
            self._under_way_count -= 1
            yield answer
            if answer.status:
                self._free.append(line)
            else:
                self._poll.unregister(line.socket)
                line.socket.close()
                self._connect()


def main() -> None:
    """Send, and print the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("orgs", nargs="+")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--changes", type=int, default=1)
    told = parser.parse_args()
    secrets = dict(org.split("=", 1) for org in told.orgs)
    sender = Sender(told.port, secrets, told.connections, told.changes)
    sys.stdout.buffer.write(msgspec.json.encode(list(sender.send(told.seconds, told.rate))))


if __name__ == "__main__":
    main()
