"""Clients that write bytes of their own, and what an ingest tells of itself meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.salesforce import ORG_ID, Salesforce, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.processes import PenstockProcesses, Running


class Raw:
    """A client that writes its own bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def end_of_writing(self) -> None:
        self._writer.write_eof()

    def reset(self) -> None:
        self._writer.transport.abort()

    @property
    def is_ended(self) -> bool:
        """Whether the other side has ended the connection."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def answer(self) -> tuple[int, bytes]:
        """Return the status and the head of one answer."""
        async with asyncio.timeout(10):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await self._reader.readexactly(int(length))
        return int(head.split()[1]), head


@contextlib.asynccontextmanager
async def raw_client(penstock: PenstockProcesses) -> AsyncIterator[Raw]:
    address = urlsplit(penstock.ingest_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def head(org: Salesforce, body: bytes, *lines: str, length: int | None = None) -> bytes:
    """Return the head of a signed request; `length` None leaves the body's length to `lines`."""
    signed = [f"{name}: {value}" for name, value in sign(org.secret, body).items()]
    sized = [] if length is None else [f"Content-Length: {length}"]
    start = [f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1", "Host: penstock"]
    return "\r\n".join([*start, *signed, *sized, *lines, "", ""]).encode("latin-1")


async def metric(penstock: PenstockProcesses, ingest: Running, name: str, **labels: str) -> float:
    async with penstock.session.get(f"{ingest.admin_url}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
