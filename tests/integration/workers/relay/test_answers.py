"""Whose answer an answer is: a target that says things twice is not believed the second time."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pipeline.settings import Relay, Secret
from tests.unit.workers.relay.claims import claim
from workers.relay.guard import Guard
from workers.relay.targets.answers import Delivered, Held
from workers.relay.targets.webhook import WebhookTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK: Final = ipaddress.ip_network("127.0.0.0/8")
TAKEN: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
FAILED: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def stammering_target() -> AsyncIterator[int]:
    """Take the first request and fail all others; say again what was said, if it can be heard."""
    request_count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal request_count
        said = b""
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].split()[0]
                await reader.readexactly(int(length))
                request_count += 1
                answer = TAKEN if request_count == 1 else FAILED
                writer.write(said + answer)
                said = answer

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_an_answer_that_comes_again_is_not_taken_for_that_of_the_next_row() -> None:
    async with stammering_target() as port, Guard([LOOPBACK]).session() as session:
        secret = Secret("whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q=")
        settings = Relay(webhook_url=f"http://127.0.0.1:{port}/", webhook_secret=secret)
        target = WebhookTarget(settings, session)
        assert await target.deliver([claim()]) == [Delivered()]
        assert await target.deliver([claim()]) == [Held("the target answered 503")]
