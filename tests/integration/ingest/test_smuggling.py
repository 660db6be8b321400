"""Requests of which two readers could see different ends: they are refused, and end what follows.

A proxy in front of ingest may read a request otherwise than ingest does. So nothing that can be
read in two ways is taken, and the connection on which it came carries no other request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import msgspec

from pipeline.objects import SObject
from pipeline.topology import queue_name
from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from tests.processes import PenstockProcesses

MARK: Final = "do-not-log-me"
RECORD: Final = {"Id": LEAD_ID, "LastName": MARK}
BODY: Final = msgspec.json.encode(callout([{"old": RECORD, "new": RECORD}]))
LENGTH: Final = f"Content-Length: {len(BODY)}"
CHUNKED: Final = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

# The headers that frame a request, and what follows its head.
TWO_READINGS: Final[Mapping[str, tuple[list[str], bytes]]] = {
    "a length and chunks": ([LENGTH, "Transfer-Encoding: chunked"], CHUNKED + SMUGGLED),
    "chunks and a length": (["Transfer-Encoding: chunked", LENGTH], CHUNKED + SMUGGLED),
    "two lengths": (["Content-Length: 5", LENGTH], BODY + SMUGGLED),
    "one length twice": ([LENGTH, LENGTH], BODY),
    "two lengths in a header": ([f"{LENGTH}, {len(BODY)}"], BODY),
    "a signed length": ([f"Content-Length: +{len(BODY)}"], BODY),
    "a negative length": (["Content-Length: -1"], BODY),
    "a length in hexadecimal": ([f"Content-Length: {len(BODY):#x}"], BODY),
    "a length beyond all bounds": ([f"Content-Length: {'9' * 40}"], BODY),
    "a blank before the colon": (["Transfer-Encoding : chunked"], CHUNKED),
    "a blank before the length's colon": ([f"Content-Length : {len(BODY)}"], BODY),
    "a folded header": ([LENGTH, "X: y", " Transfer-Encoding: chunked"], BODY),
    "a coding on a line of its own": (["Transfer-Encoding:", " chunked"], CHUNKED),
    "an unknown coding": (["Transfer-Encoding: xchunked"], CHUNKED),
    "chunks in a coding": (["Transfer-Encoding: chunked, identity"], CHUNKED),
    "chunks twice": (["Transfer-Encoding: chunked, chunked"], CHUNKED),
    "a vertical tab": (["Transfer-Encoding: \x0bchunked"], CHUNKED),
    "no header's name": ([LENGTH, ": x"], BODY),
    "a NUL in a value": ([LENGTH, "X: a\x00b"], BODY),
    "a carriage return in a value": ([LENGTH, "X: a\rContent-Length: 0"], BODY),
    "a chunk's size in hexadecimal notation": (["Transfer-Encoding: chunked"], b"0x" + CHUNKED),
    "a signed chunk": (["Transfer-Encoding: chunked"], b"+" + CHUNKED),
    "a chunk's size ended by a line feed": (
        ["Transfer-Encoding: chunked"],
        CHUNKED.replace(b"\r\n", b"\n", 1),
    ),
    "a chunk longer than it says": (
        ["Transfer-Encoding: chunked"],
        CHUNKED.replace(b"\r\n0\r\n", b"xx\r\n0\r\n"),
    ),
}


def head(org: Salesforce, framing: list[str], end: str = "\r\n") -> bytes:
    signed = [f"{name}: {value}" for name, value in sign(org.secret, BODY).items()]
    start = [f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1", "Host: penstock"]
    return end.join([*start, *signed, *framing, "", ""]).encode("latin-1")


async def answered(penstock: PenstockProcesses, sent: bytes) -> bytes:
    """Return all that is answered on a connection until ingest closes it."""
    address = urlsplit(penstock.ingest_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    penstock: PenstockProcesses, subtests: pytest.Subtests
) -> None:
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules="")
    # As sent they are one good callout, and its end is beyond doubt.
    for framed, whole in ((LENGTH, BODY), ("Transfer-Encoding: chunked", CHUNKED)):
        answer = await answered(penstock, head(org, [framed, "Connection: close"]) + whole)
        assert answer.startswith(b"HTTP/1.1 202 "), answer
    for name, (framing, body) in TWO_READINGS.items():
        with subtests.test(name):
            answer = await answered(penstock, head(org, framing) + body)
            assert answer.count(b"HTTP/1.") == 1, answer
            assert answer.split(b" ", 2)[1] == b"400", answer
            assert b"application/problem+json" in answer, answer
            assert MARK.encode() not in answer, answer
    with subtests.test("line feeds alone"):
        answer = await answered(penstock, head(org, [LENGTH], "\n") + BODY)
        assert answer.split(b" ", 2)[1] == b"400", answer
        assert MARK.encode() not in answer, answer
    with subtests.test("two requests on a connection are two"):
        one = head(org, [LENGTH]) + BODY
        last = head(org, [LENGTH, "Connection: close"]) + BODY
        assert (await answered(penstock, one + last)).count(b"HTTP/1.1 202 ") == 2

    rows = await stored_count(penstock)
    assert rows == 4
    assert MARK not in ingest.log
    assert '"level":"error"' not in ingest.log


async def stored_count(penstock: PenstockProcesses) -> int:
    async with await aio_pika.connect(penstock.environment["PENSTOCK_BROKER__URL"]) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name(SObject.LEAD), passive=True)
        return queue.declaration_result.message_count or 0
