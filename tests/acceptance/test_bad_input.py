"""What is refused at the door: each with its own answer, in bounded memory, leaving nothing."""

from __future__ import annotations

import asyncio
import gzip
import io
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import aio_pika
import msgspec
import pytest

from pipeline.objects import SObject
from pipeline.signing import signed_headers
from pipeline.topology import queue_name
from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import aiohttp

    from tests.processes import PenstockProcesses, Running

OTHER_ORG_ID: Final = "00D5g000004OthrEAA"
PAUSED_ORG_ID: Final = "00D5g000004PausEAA"
UNCONNECTED_ORG_ID: Final = "00D5g000004NewOEAA"
SECOND_LEAD_ID: Final = "00Q5g00000WarmL"
MARK: Final = "do-not-echo-me"
LEAD: Final = {"Id": LEAD_ID, "LastName": MARK}
CHANGE: Final = {"old": LEAD, "new": {**LEAD, "Status": "Working"}}
MIB: Final = 1024 * 1024


class Edge(NamedTuple):
    """A running ingest with one connected org, one paused and one not connected."""

    penstock: PenstockProcesses
    ingest: Running
    org: Salesforce

    async def stored_counts(self) -> dict[str, int]:
        """Count the messages of every queue and the rows that a callout could leave."""
        counts = {}
        async with await aio_pika.connect(
            self.penstock.environment["PENSTOCK_BROKER__URL"]
        ) as connection:
            channel = await connection.channel()
            for name in (*map(queue_name, SObject), "penstock.dead.lead"):
                queue = await channel.declare_queue(name, passive=True)
                counts[name] = queue.declaration_result.message_count or 0
        for table in ("change", "record", "firing", "enrollment", "outbox", "dead_letter"):
            (row,) = await self.penstock.fetch(f"SELECT count(*) FROM {table}")  # noqa: S608  ours
            counts[table] = row[0]
        return counts


@pytest.fixture
async def edge(penstock: PenstockProcesses) -> AsyncIterator[Edge]:
    """Check afterwards that nothing of what was refused stayed, and that a good callout passes."""
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules="")
    found = Edge(penstock, ingest, org)
    before = await found.stored_counts()
    yield found
    assert await found.stored_counts() == before
    await org.accepted(callout([CHANGE]))
    assert '"level":"error"' not in ingest.log, ingest.log


def nested(levels: int) -> bytes:
    text = b"[" * levels + b"]" * levels
    return msgspec.json.encode(callout([CHANGE], note="deep")).replace(b'"deep"', text)


def body_of(*changes: Mapping[str, Any], **keys: Any) -> bytes:
    return msgspec.json.encode(callout(changes, **keys))


def without(key: str) -> bytes:
    return msgspec.json.encode({k: v for k, v in callout([CHANGE]).items() if k != key})


# JSON, and yet not a callout: the body, and the place that the answer names.
NOT_THE_CONTRACT: Final[Mapping[str, tuple[bytes, str]]] = {
    "a text where the list of changes belongs": (
        msgspec.json.encode({**callout([]), "changes": MARK}),
        "$.changes",
    ),
    "a change without an Id": (
        body_of(CHANGE, CHANGE, CHANGE, {"old": LEAD, "new": {"LastName": MARK}}),
        "$.changes[3].new.Id",
    ),
    "an Id that is none": (
        body_of({"old": LEAD, "new": {"Id": MARK}}),
        "$.changes[0].new.Id",
    ),
    "a list where a record belongs": (
        body_of({"old": LEAD, "new": [MARK]}),
        "$.changes[0].new",
    ),
    "an unknown operation": (body_of(CHANGE, operation=MARK), "$.operation"),
    "an unknown object": (body_of(CHANGE, object=MARK), "$.object"),
    "an unknown version": (body_of(CHANGE, version=2), "$.version"),
    "old on an insert": (body_of(CHANGE, operation="insert"), "$.changes[0].old"),
    "no old on an update": (body_of({"new": LEAD}), "$.changes[0].old"),
    "new on a delete": (body_of(CHANGE, operation="delete"), "$.changes[0].new"),
    "an update of two different records": (
        body_of({"old": LEAD, "new": {**LEAD, "Id": SECOND_LEAD_ID}}),
        "$.changes[0].new.Id",
    ),
    "no capture id": (without("capture_id"), "$.capture_id"),
    "a capture id with a blank": (body_of(CHANGE, capture_id=f"{MARK} x"), "$.capture_id"),
    "a time as text": (body_of(CHANGE, captured_at=MARK), "$.captured_at"),
    "a time beyond exact numbers": (body_of(CHANGE, captured_at=2**53), "$.captured_at"),
    "a negative sequence": (body_of(CHANGE, sequence=-1), "$.sequence"),
    "a list for a document": (msgspec.json.encode([MARK]), "$"),
}

# What is no JSON at all, or only says that it is gzip.
NOT_JSON: Final[Mapping[str, bytes]] = {
    "an empty body": b"",
    "cut off": body_of(CHANGE)[:-2],
    "two documents": body_of(CHANGE) * 2,
    "2,000 nested arrays": nested(2000),
    "101 nested levels": nested(100),
    "NaN": body_of(CHANGE, note=0).replace(b'"note":0', b'"note":NaN'),
    "an unquoted key": b"{version: 1}",
}

GOOD: Final = body_of(CHANGE)
NOT_GZIP: Final[Mapping[str, bytes]] = {
    "plain JSON": GOOD,
    "an empty body": b"",
    "cut off in the middle": gzip.compress(GOOD)[:-40],
    "cut off before its checksum": gzip.compress(GOOD)[:-8],
    "a wrong checksum": gzip.compress(GOOD)[:-8] + bytes(8),
    "garbage behind it": gzip.compress(GOOD) + MARK.encode(),
    "more members than anyone would make": gzip.compress(b"") * 100 + gzip.compress(GOOD),
    "half a second member": gzip.compress(GOOD) + gzip.compress(b" ")[:9],
}


async def assert_refused(
    response: aiohttp.ClientResponse, status: int, edge: Edge, place: str | None = None
) -> None:
    text = await response.text()
    assert response.status == status, text
    assert response.content_type == "application/problem+json"
    problem = msgspec.json.decode(text)
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem.get("place") == place
    assert MARK not in text
    assert edge.org.secret not in text


async def test_only_the_contract_in_json_is_accepted(edge: Edge, subtests: pytest.Subtests) -> None:
    for name, (body, place) in NOT_THE_CONTRACT.items():
        with subtests.test(name):
            await assert_refused(await edge.org.send(body), 422, edge, place)
    for name, body in NOT_JSON.items():
        with subtests.test(name):
            await assert_refused(await edge.org.send(body), 400, edge)
    for name, body in NOT_GZIP.items():
        with subtests.test(f"gzip: {name}"):
            headers = {**sign(edge.org.secret, GOOD), "Content-Encoding": "gzip"}
            await assert_refused(await edge.org.post("changes", body, headers), 400, edge)
    with subtests.test("invalid UTF-8"):
        body = GOOD.replace(MARK.encode(), b"\xff\xfe")
        headers = signed_headers(edge.org.secret, "msg_bytes", int(time.time()), body)
        await assert_refused(await edge.org.post("changes", body, headers), 400, edge)
    with subtests.test("an encoding that is not offered"):
        headers = {**sign(edge.org.secret, GOOD), "Content-Encoding": "deflate"}
        await assert_refused(await edge.org.post("changes", GOOD, headers), 400, edge)
    with subtests.test("what a proxy cut off after its headers"):
        await assert_cut_off_is_harmless(edge)


async def assert_cut_off_is_harmless(edge: Edge) -> None:
    address = urlsplit(edge.penstock.ingest_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [
        f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1",
        "Host: penstock",
        f"Content-Length: {len(GOOD)}",
        *(f"{name}: {value}" for name, value in sign(edge.org.secret, GOOD).items()),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + GOOD[:-20])
    writer.write_eof()
    answer = await reader.read()
    assert b"202" not in answer
    writer.close()
    await writer.wait_closed()


async def test_only_a_signature_of_the_org_and_of_now_is_accepted(
    edge: Edge, subtests: pytest.Subtests
) -> None:
    now_s = time.time()
    secret = edge.org.secret
    good = sign(secret, GOOD)
    other = sign("whsec_" + "A" * 43 + "=", GOOD)
    refused: dict[str, Mapping[str, str]] = {
        "no header": {},
        **{
            f"no {left_out}": {name: value for name, value in good.items() if name != left_out}
            for left_out in good
        },
        "another's secret": other,
        "another body's signature": sign(secret, GOOD + b" "),
        "another id": {**good, "webhook-id": "msg_other"},
        "stale": sign(secret, GOOD, at_s=now_s - 310),
        "of the future": sign(secret, GOOD, at_s=now_s + 310),
        "another time than the signed one": {**good, "webhook-timestamp": str(int(now_s) + 5)},
        "a time that is no number": {**good, "webhook-timestamp": "1e9"},
        "a time of 100 digits": {**good, "webhook-timestamp": "9" * 100},
        "a time in Arabic digits": {**good, "webhook-timestamp": "١٧٩٥"},
        "another scheme": {
            **good,
            "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,"),
        },
        "hidden behind a hundred others": {
            **good,
            "webhook-signature": "v1,AAAA " * 100 + good["webhook-signature"],
        },
        "an over-long id": sign(secret, GOOD, message_id="m" * 5000),
        "an id beyond ASCII": sign(secret, GOOD, message_id="msg_é"),
    }
    for name, headers in refused.items():
        with subtests.test(name):
            await assert_refused(await edge.org.post("changes", GOOD, headers), 401, edge)
    with subtests.test("an id that is not UTF-8"):
        # A client library would not send it.
        address = urlsplit(edge.penstock.ingest_url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1\r\nHost: penstock\r\n".encode()
        stamps = f"webhook-timestamp: {int(now_s)}\r\nwebhook-signature: v1,AAAA\r\n".encode()
        writer.write(head + stamps + b"webhook-id: \xff\xfe\r\nConnection: close\r\n")
        writer.write(b"Content-Length: 2\r\n\r\n{}")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        writer.close()
        await writer.wait_closed()
    # The clocks of both sides may differ by almost five minutes; nothing here is stored twice.
    for offset_s in (-290, 290):
        with subtests.test(f"{offset_s} s off"):
            response = await edge.org.send(callout([]), at_s=time.time() + offset_s)
            assert response.status == 202


async def test_only_an_org_that_is_known_connected_and_meant_may_send(
    edge: Edge, subtests: pytest.Subtests
) -> None:
    penstock, secret = edge.penstock, edge.org.secret
    paused = await Salesforce.connect(penstock, PAUSED_ORG_ID, rules="")
    paused_run = await penstock.run("org", "pause", PAUSED_ORG_ID)
    assert paused_run.returncode == 0
    added = await penstock.run("org", "add", UNCONNECTED_ORG_ID, "--sync-user", "0055g00000AbCdE")
    assert added.returncode == 0

    async def send(org: Salesforce, **keys: str) -> aiohttp.ClientResponse:
        return await org.send(callout([CHANGE], **keys))

    senders = {
        "unknown": Salesforce(penstock, secret, OTHER_ORG_ID),
        "not connected": Salesforce(penstock, secret, UNCONNECTED_ORG_ID),
        "no id at all": Salesforce(penstock, secret, "nonsense"),
    }
    # Ingest hears of the pause by notification.
    async with asyncio.timeout(10):
        while (response := await paused.send(callout([]))).status == 202:
            pass
    with subtests.test("paused"):
        await assert_refused(response, 403, edge)
        assert "paused" in await response.text()
    for name, org in senders.items():
        with subtests.test(name):
            await assert_refused(await send(org, org_id=org.org_id), 403, edge)
    with subtests.test("another org's id in the body"):
        response = await send(edge.org, org_id=OTHER_ORG_ID)
        await assert_refused(response, 403, edge)
        assert "another org" in await response.text()


async def test_unknown_routes_and_methods_are_refused_in_the_same_form(
    edge: Edge, subtests: pytest.Subtests
) -> None:
    base = f"{edge.penstock.ingest_url}/v1/orgs/{ORG_ID}"
    for method, path, status in (
        ("GET", "/changes", 405),
        ("PUT", "/changes", 405),
        ("POST", "/conditions", 405),
        ("DELETE", "/handshake", 405),
        ("POST", "/changes/", 404),
        ("POST", "/secrets", 404),
        ("GET", "/../../../healthz", 404),
        ("GET", "/../../../metrics", 404),
        ("POST", "%00/changes", 403),
        ("POST", "%ff/changes", 403),
    ):
        with subtests.test(f"{method} {path}"):
            async with edge.penstock.session.request(method, base + path) as response:
                await assert_refused(response, status, edge)
                assert ("Allow" in response.headers) == (status == 405)


async def test_a_body_over_the_limit_is_refused_within_bounded_memory(
    edge: Edge, subtests: pytest.Subtests
) -> None:
    await edge.org.accepted(callout([]))
    before_bytes = edge.ingest.memory_bytes("VmHWM")
    bomb = gzip.compress(bytes(1024 * MIB), compresslevel=9)
    whole = body_of(CHANGE, note="x" * (30 * MIB))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 64 * 1024):
            yield whole[start : start + 64 * 1024]

    async def took_s(data: Callable[[], Any], **headers: str) -> float:
        started = time.monotonic()
        url = f"{edge.penstock.ingest_url}/v1/orgs/{ORG_ID}/changes"
        async with edge.penstock.session.post(
            url, data=data(), headers={**sign(edge.org.secret, GOOD), **headers}
        ) as response:
            await assert_refused(response, 413, edge)
        return time.monotonic() - started

    for name, data, headers in (
        ("a bomb", lambda: bomb, {"Content-Encoding": "gzip"}),
        ("30 MB as declared", lambda: io.BytesIO(whole), {}),
        ("30 MB in chunks", chunks, {}),
    ):
        with subtests.test(name):
            assert await took_s(data, **headers) < 2
    with subtests.test("twelve bombs at once"):
        all_took_s = await asyncio.gather(
            *(took_s(lambda: bomb, **{"Content-Encoding": "gzip"}) for _ in range(12))
        )
        assert max(all_took_s) < 10
    with subtests.test("memory"):
        assert edge.ingest.memory_bytes("VmHWM") - before_bytes < 100 * MIB
