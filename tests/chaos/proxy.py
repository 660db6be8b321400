"""A TCP proxy that does to connections what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

from ops.stack.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK_BYTES: Final = 16 * 1024
_QUEUED_CHUNKS: Final = 64
# Closing with this option resets the connection.
_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on `port` and passes on to `upstream()`.

    `delay_s` is put on each chunk, `rate_bytes_per_s` is what each direction of a connection may
    carry; while `open` is not set, nothing is passed on and nothing is closed.
    """

    def __init__(self, upstream: Callable[[], int]) -> None:
        self.port = free_port()
        self.delay_s = 0.0
        self.rate_bytes_per_s = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.links: set[Link] = set()
        self._upstream = upstream
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        await asyncio.gather(*(link.ended for link in list(self.links)))

    async def listen(self) -> None:
        """Take connections (again)."""
        self._server = await asyncio.start_server(self._take, LOOPBACK, self.port)

    def refuse(self) -> None:
        """Cut all connections, and take no new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections."""
        for link in self.links:
            link.reset()

    def half_close(self, *, towards_client: bool) -> None:
        """End one direction of all connections; the other goes on."""
        for link in self.links:
            link.half_close(towards_client=towards_client)

    def forget(self) -> None:
        """Pass nothing on for the connections that there are, for ever; new ones work."""
        for link in self.links:
            link.open = asyncio.Event()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A connection that is made while nothing is passed on reaches nobody.
            await self.open.wait()
            there = await asyncio.open_connection(LOOPBACK, self._upstream())
        except OSError:
            _reset(writer)
            return
        except asyncio.CancelledError:
            _reset(writer)
            raise
        link = Link(self, (reader, writer), there)
        self.links.add(link)
        try:
            await link.run()
        finally:
            self.links.discard(link)
            link.ended.set_result(None)


class Link:
    """One connection, both its sides."""

    def __init__(
        self,
        proxy: Proxy,
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.open = proxy.open
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._proxy = proxy
        self._here, self._there = here, there
        self._pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Pass on in both directions until both have ended."""
        ways = ((self._here[0], self._there[1]), (self._there[0], self._here[1]))
        for reader, writer in ways:
            queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
            self._pumps.append(asyncio.create_task(self._read(reader, queue)))
            self._pumps.append(asyncio.create_task(self._write(writer, queue)))
        try:
            await asyncio.gather(*self._pumps)
        except (OSError, asyncio.CancelledError):
            self.reset()
        finally:
            await asyncio.wait(self._pumps)
            for _, writer in (self._here, self._there):
                writer.close()

    def reset(self) -> None:
        for pump in self._pumps:
            pump.cancel()
        for _, writer in (self._here, self._there):
            _reset(writer)

    def half_close(self, *, towards_client: bool) -> None:
        writer = (self._here if towards_client else self._there)[1]
        if writer.can_write_eof() and not writer.is_closing():
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _read(
        self, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        chunk = b"."
        while chunk:
            chunk = await reader.read(_CHUNK_BYTES)
            due = asyncio.get_running_loop().time() + self._proxy.delay_s
            await queue.put((due, chunk))

    async def _write(
        self, writer: asyncio.StreamWriter, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        while True:
            due, chunk = await queue.get()
            wait_s = due - asyncio.get_running_loop().time()
            if rate := self._proxy.rate_bytes_per_s:
                wait_s = max(0.0, wait_s) + len(chunk) / rate
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self.open.wait()
            if not chunk:
                self.half_close(towards_client=writer is self._here[1])
                return
            try:
                writer.write(chunk)
            except RuntimeError:
                # This direction was ended by us; what the other side still says is lost.
                return
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None and not writer.is_closing():
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
