"""A connection to a server's protocol without a socket."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Rounds of the loop within which nothing that is to happen has not begun.
_QUIET_ROUNDS: Final = 10
_MOST_ROUNDS: Final = 4000
_STATUS: Final = re.compile(rb"HTTP/\d\.\d (\d{3}) [^\r\n]*\r\n")
_LENGTH: Final = re.compile(rb"^content-length: (\d+)\r$", re.IGNORECASE | re.MULTILINE)
_CONTINUE: Final = 100


class Answer(NamedTuple):
    """One answer on a connection."""

    status: int
    head: bytes
    body: bytes


class Wire(asyncio.Transport):
    """What a protocol writes, kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 40_000), "sockname": ("127.0.0.1", 80)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep bytes."""
        self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Keep bytes."""
        for data in list_of_data:
            self.written += data

    def is_closing(self) -> bool:
        """Tell whether the server has closed it."""
        return self.closed

    def close(self) -> None:
        """Take no more."""
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        """All is handed over at once."""

    def resume_reading(self) -> None:
        """All is handed over at once."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits to be written."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits to be written."""

    def get_protocol(self) -> Any:  # noqa: ANN401  never asked for
        """Not asked for."""
        raise NotImplementedError


async def exchange(protocol: asyncio.Protocol, pieces: Sequence[bytes]) -> list[Answer]:
    """Return what a server answers to bytes that come in pieces, after which the client leaves."""
    wire = Wire()
    protocol.connection_made(wire)
    for piece in pieces:
        if wire.closed:
            break
        protocol.data_received(piece)
        await _settled(wire)
    protocol.eof_received()
    protocol.connection_lost(None)
    await _settled(wire)
    return answers(bytes(wire.written))


def answers(written: bytes) -> list[Answer]:
    """Return the answers in what a server wrote.

    Raises:
        AssertionError: it is not answers alone, whole and framed by their length.
    """
    found: list[Answer] = []
    while written:
        start = _STATUS.match(written)
        assert start is not None, written[:200]
        head, _, rest = written.partition(b"\r\n\r\n")
        status = int(start[1])
        if status == _CONTINUE:
            written = rest
            continue
        length = _LENGTH.search(head + b"\r\n")
        assert length is not None, head
        size = int(length[1])
        assert len(rest) >= size, (size, rest)
        found.append(Answer(status, head, rest[:size]))
        written = rest[size:]
    return found


async def _settled(wire: Wire) -> None:
    """Return once nothing more is written in several rounds of the loop."""
    quiet = rounds = 0
    before = -1
    while quiet < _QUIET_ROUNDS:
        await asyncio.sleep(0)
        quiet = quiet + 1 if len(wire.written) == before else 0
        before = len(wire.written)
        rounds += 1
        assert rounds < _MOST_ROUNDS, "the server does not come to rest"
