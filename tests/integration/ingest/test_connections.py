"""Connections that are slow, silent, too many, or never read: bounded in time, count and memory."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.integration.ingest.rude import head, metric, raw_client
from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.ingest.rude import Raw
    from tests.processes import PenstockProcesses, Running

MAX_CONNECTIONS = 40
HEAD_TIMEOUT_S = 1.0
UPDATE = [{"old": {"Id": LEAD_ID}, "new": {"Id": LEAD_ID}}]
START = f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1\r\nHost: p\r\n".encode()
# What a rude client may have ingest hold: all of a head, and what the kernel takes in besides.
MAX_GROWTH_BYTES = 32 * 1024 * 1024


@pytest.fixture
async def ingest(penstock: PenstockProcesses) -> Running:
    return await penstock.start_ingest(
        PENSTOCK_INGEST__MAX_CONNECTIONS=str(MAX_CONNECTIONS),
        PENSTOCK_INGEST__HEAD_TIMEOUT_S=str(HEAD_TIMEOUT_S),
        PENSTOCK_INGEST__BODY_TIMEOUT_S="20",
    )


@pytest.fixture
async def org(penstock: PenstockProcesses, ingest: Running) -> Salesforce:
    del ingest
    return await Salesforce.connect(penstock, rules="")


@contextlib.asynccontextmanager
async def clients(penstock: PenstockProcesses, count: int) -> AsyncIterator[list[Raw]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(raw_client(penstock)) for _ in range(count)]


def open_files(ingest: Running) -> int:
    return len(list(Path(f"/proc/{ingest.pid}/fd").iterdir()))


async def trickle(client: Raw, piece: bytes) -> float:
    """Write a piece now and then until the connection ends; return after how long that was."""
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(15):
            while not client.is_ended:
                await client.write(piece)
                await asyncio.sleep(0.05)
    return time.monotonic() - started


async def test_a_head_that_does_not_come_is_not_waited_for(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    async with clients(penstock, 3) as (silent, slow, polite):
        await polite.write(head(org, b"{}", length=2) + b"{}")
        assert (await polite.answer())[0] == 422
        await slow.write(START)
        ended_s = await asyncio.gather(trickle(silent, b""), trickle(slow, b"X-Slow: a\r\n"))
        assert all(HEAD_TIMEOUT_S <= took_s < HEAD_TIMEOUT_S + 3 for took_s in ended_s)
        # Who rests between two requests is not slow.
        await polite.write(head(org, b"{}", length=2) + b"{}")
        assert (await polite.answer())[0] == 422
    assert await metric(penstock, ingest, "penstock_connections_ended_total", reason="slow") == 2


async def test_silent_connections_make_room_for_one_that_has_something_to_say(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    before = open_files(ingest)
    async with clients(penstock, 3 * MAX_CONNECTIONS):
        started = time.monotonic()
        while time.monotonic() - started < 2 * HEAD_TIMEOUT_S:
            # Those that are just being turned away are open for a moment.
            assert open_files(ingest) <= before + MAX_CONNECTIONS * 5 // 4 + 8
            async with await org.post("changes", b"", {}) as response:
                assert response.status in (401, 429, 503)
        await org.accepted(callout(UPDATE))
    await until(lambda: open_files(ingest) <= before + 2)


async def test_above_the_bound_the_answer_is_503_at_once(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    await penstock.session.close()
    body = b"x" * 100
    before = open_files(ingest)
    async with clients(penstock, MAX_CONNECTIONS) as busy:
        for client in busy:
            await client.write(head(org, body, length=len(body)) + body[:10])
        await until(lambda: open_files(ingest) >= before + MAX_CONNECTIONS)
        # They are open; a moment more for the heads to be read.
        await asyncio.sleep(0.5)
        async with raw_client(penstock) as late:
            started = time.monotonic()
            await late.write(START + b"Content-Length: 0\r\n\r\n")
            status, told = await late.answer()
        assert status == 503
        assert b"retry-after: 5" in told
        assert time.monotonic() - started < 10
        await busy[0].write(body[10:])
        assert (await busy[0].answer())[0] == 400


async def test_a_head_that_is_too_large_is_refused(
    penstock: PenstockProcesses, ingest: Running
) -> None:
    for too_large in (
        START + b"X: y\r\n" * 49 + b"\r\n",
        START + b"X: " + b"y" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    ):
        async with raw_client(penstock) as client:
            await client.write(too_large)
            assert (await client.answer())[0] == 400
    assert "Traceback" not in ingest.log


async def test_heads_that_never_end_take_no_memory(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    async def flood(client: Raw, start: bytes, piece: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await client.write(start)
            while True:
                await client.write(piece)

    await org.accepted(callout(UPDATE))
    before = ingest.memory_bytes("VmRSS")
    for start, piece in ((START, b"X: " + b"y" * 8000 + b"\r\n"), (b"GET /", b"a" * 8000)):
        async with clients(penstock, 30) as rude, asyncio.timeout(20):
            await asyncio.gather(*(flood(client, start, piece) for client in rude))
    await org.accepted(callout(UPDATE))
    assert ingest.memory_bytes("VmRSS") - before < MAX_GROWTH_BYTES


async def test_answers_that_nobody_reads_are_not_waited_for(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    address = urlsplit(penstock.ingest_url)
    question = b"GET /nothing HTTP/1.1\r\nHost: p\r\n\r\n"
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        client.setblocking(False)
        async with asyncio.timeout(30):
            with contextlib.suppress(ConnectionError):
                while True:
                    try:
                        client.send(question * 100)
                    except BlockingIOError:
                        await asyncio.sleep(0.05)
    await org.accepted(callout(UPDATE))
    assert await metric(penstock, ingest, "penstock_connections_ended_total", reason="slow") == 1
    assert "Traceback" not in ingest.log


async def test_a_large_body_that_is_refused_unread_gets_its_answer(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    url = f"{penstock.ingest_url}/v1/orgs/{org.org_id}/changes"
    body = io.BytesIO(b"x" * (13 * 1024 * 1024))
    async with penstock.session.post(url, data=body) as response:
        assert response.status == 413
