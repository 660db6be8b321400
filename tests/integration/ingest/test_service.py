"""What comes over the wire to a real ingest: rude clients, limits, outages, the end."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import msgspec
import pytest

from pipeline import envelope, json_text
from pipeline.objects import SObject
from pipeline.signing import new_secret
from pipeline.topology import queue_name
from tests.integration.ingest.rude import Raw, head, metric, raw_client
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID, Salesforce, callout, sign
from tests.servers import database_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.processes import PenstockProcesses, Running

MAX_BODY_BYTES = 400_000
BODY_TIMEOUT_S = 1.0
UPDATE = [{"old": {"Id": LEAD_ID}, "new": {"Id": LEAD_ID}}]
STRANGER = new_secret()
PROBLEM = "application/problem+json"
CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


@pytest.fixture
async def ingest(penstock: PenstockProcesses) -> Running:
    return await penstock.start_ingest(
        PENSTOCK_INGEST__MAX_BODY_BYTES=str(MAX_BODY_BYTES),
        PENSTOCK_INGEST__BODY_TIMEOUT_S=str(BODY_TIMEOUT_S),
    )


@pytest.fixture
async def org(penstock: PenstockProcesses, ingest: Running) -> Salesforce:
    del ingest
    return await Salesforce.connect(penstock, rules="")


async def until_something_is_held(penstock: PenstockProcesses, ingest: Running) -> None:
    async with asyncio.timeout(10):
        while not await metric(penstock, ingest, "penstock_in_flight_bytes"):
            continue


async def until_nothing_is_held(penstock: PenstockProcesses, ingest: Running) -> None:
    held_bytes = 1.0
    async with asyncio.timeout(10):
        while held_bytes:
            held_bytes = await metric(penstock, ingest, "penstock_in_flight_bytes")


async def test_clients_that_break_off_in_mid_request_leave_nothing_and_are_no_error_of_ours(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    body = msgspec.json.encode(callout(UPDATE))
    whole = head(org, body, length=len(body)) + body
    for end in (10, len(whole) // 2, len(whole) - len(body), len(whole) - 1, len(whole)):
        for leave in (Raw.reset, Raw.end_of_writing):
            async with raw_client(penstock) as client:
                await client.write(whole[:end])
                leave(client)
    async with raw_client(penstock) as client:
        await client.write(head(org, body, "Transfer-Encoding: chunked") + b"5\r\n{")
        client.reset()
    for broken in (b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}xx0\r\n\r\n", b"fffffffffffffffffffff\r\n{"):
        async with raw_client(penstock) as client:
            await client.write(head(org, body, "Transfer-Encoding: chunked") + broken)
            assert (await client.answer())[0] == 400

    await until_nothing_is_held(penstock, ingest)
    await org.accepted(callout(UPDATE))
    assert await metric(penstock, ingest, "penstock_callouts_total", status="500") == 0
    assert "request_failed" not in ingest.log


async def test_headers_of_any_bytes_get_an_answer(
    penstock: PenstockProcesses, ingest: Running, org: Salesforce
) -> None:
    start = f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1\r\nHost: p\r\nContent-Length: 2\r\n".encode()
    now = str(int(time.time())).encode()
    for lines, status in (
        (b"", 401),
        (b"webhook-id: \xff\r\nwebhook-timestamp: " + now + b"\r\nwebhook-signature: v1,x", 401),
        (b"webhook-id: a\r\nwebhook-timestamp: " + now + b"\r\nwebhook-signature: v1,\xff", 401),
        (b"webhook-id: a\r\nwebhook-timestamp: \xb2\r\nwebhook-signature: v1,x", 401),
        (b"webhook-id: a\r\nwebhook-timestamp: " + b"9" * 5000 + b"\r\nwebhook-signature: x", 401),
        (b"Content-Encoding: \xff", 400),
        (b"Content-Length: 3", 400),
        (b"X: " + b"x" * 20_000, 400),
        (b"Content-Type: \xff/\xff; charset=\xff", 401),
    ):
        async with raw_client(penstock) as client:
            await client.write(start + lines + b"\r\n\r\n{}" if lines else start + b"\r\n{}")
            assert (await client.answer())[0] == status, lines[:60]
    assert await metric(penstock, ingest, "penstock_callouts_total", status="500") == 0
    del org


async def test_limits_times_and_addresses(penstock: PenstockProcesses, org: Salesforce) -> None:
    exact = callout([])
    exact["padding"] = "x" * (MAX_BODY_BYTES - len(json.dumps(exact)) - len(', "padding": ""'))
    body = json.dumps(exact).encode()
    assert len(body) == MAX_BODY_BYTES
    compressed = {"Content-Encoding": "gzip"}
    over = body + b" "
    for sent, signed, headers, status in (
        (body, body, {}, 202),
        (gzip.compress(body), body, compressed, 202),
        (over, over, {}, 413),
        (gzip.compress(over), over, compressed, 413),
        (gzip.compress(body)[:-1], body, compressed, 400),
        (body, body, compressed, 400),
    ):
        async with await org.post(
            "changes", sent, {**sign(org.secret, signed), **headers}
        ) as response:
            assert response.status == status, await response.text()
            assert status == 202 or response.content_type == PROBLEM

    async with raw_client(penstock) as client:
        started = time.monotonic()
        await client.write(head(org, b"{}", length=2) + b"{")
        assert (await client.answer())[0] == 503
        assert BODY_TIMEOUT_S <= time.monotonic() - started < BODY_TIMEOUT_S + 2

    base = f"{penstock.ingest_url}/v1/orgs/{ORG_ID}"
    for method, url, status in (
        ("GET", f"{base}/changes", 405),
        ("POST", f"{base}/nothing", 404),
        ("POST", f"{penstock.ingest_url}/v1/orgs/%ff%00/changes", 403),
        ("POST", f"{penstock.ingest_url}/v1/orgs/00D5g000004OthrEAS/changes", 403),
    ):
        async with penstock.session.request(method, url) as response:
            assert (response.status, response.content_type) == (status, PROBLEM)
            assert (await response.json(content_type=PROBLEM))["status"] == status
            assert (response.headers.get("Allow") == "POST") == (status == 405)


async def test_what_is_published_holds_every_character_and_every_slice(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    name = b'"Name": "half \\ud83d emoji, \\u0000, \\u001a\\\\u0000", "Id"'
    body = json.dumps(callout(UPDATE)).encode().replace(b'"Id"', name)
    await org.accepted(body)
    record = {"Id": LEAD_ID, "Description": "x" * 60_000}
    await org.accepted(callout([{"old": record, "new": record}] * 3))
    async with await aio_pika.connect(penstock.environment["PENSTOCK_BROKER__URL"]) as connection:
        queue = await (await connection.channel()).get_queue(queue_name(SObject.LEAD))
        messages = [await queue.get(timeout=10) for _ in range(3)]
    items = [item for message in messages for item in envelope.decode(message.body)]
    assert json_text.unmask(items[0].body) == body
    assert [len(json.loads(item.body)["changes"]) for item in items[1:]] == [2, 1]


async def test_while_the_database_is_away_known_orgs_are_served_and_others_told_to_wait(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    url = penstock.environment["PENSTOCK_DATABASE__URL"]
    database = url.partition("?")[0].rpartition("/")[2]
    unknown = f"{penstock.ingest_url}/v1/orgs/00D5g000004OthrEAS/changes"
    operator = await asyncpg.connect(database_at(url, "postgres"))
    try:
        await operator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        await operator.execute(CUT_OFF, database)
        answer = await until_answered(penstock, unknown, 503)
        assert int(answer["Retry-After"]) > 0
        await org.accepted(callout(UPDATE))
        await operator.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    finally:
        await operator.close()
    await until_answered(penstock, unknown, 403)
    await org.accepted(callout(UPDATE))


async def until_answered(penstock: PenstockProcesses, url: str, status: int) -> Mapping[str, str]:
    """Post nothing until the answer is of this status; return its headers."""
    async with asyncio.timeout(10):
        while True:
            async with penstock.session.post(url) as response:
                if response.status == status:
                    return response.headers


async def test_a_process_told_to_end_answers_what_it_has_begun_and_takes_no_more(
    penstock: PenstockProcesses,
) -> None:
    ingest = await penstock.start_ingest()
    org = await Salesforce.connect(penstock, rules="")
    body = msgspec.json.encode(callout(UPDATE))
    address = urlsplit(penstock.ingest_url)
    async with raw_client(penstock) as client:
        await client.write(head(org, body, "Connection: close", length=len(body)) + body[:10])
        await until_something_is_held(penstock, ingest)
        # The rest of the body must not come before the signal was taken.
        ending = asyncio.create_task(ingest.terminate())
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection(address.hostname, address.port)
                    writer.close()
                    await writer.wait_closed()
                except ConnectionRefusedError:
                    break
                except ConnectionResetError:
                    # It was waiting to be accepted when the port was closed.
                    continue
        await client.write(body[10:])
        assert (await client.answer())[0] == 202
        assert await ending == 0
    assert "Traceback" not in ingest.log


async def test_strangers_who_name_an_org_are_put_off_unread_and_the_org_is_not(
    penstock: PenstockProcesses,
) -> None:
    running = await penstock.start_ingest(
        PENSTOCK_INGEST__FAILED_SIGNATURES_PER_MINUTE="5",
        PENSTOCK_INGEST__TRUSTED_PROXIES="127.0.0.1",
    )
    org = await Salesforce.connect(penstock, rules="")
    large = msgspec.json.encode(
        callout([{"new": {"Id": LEAD_ID, "Description": "x" * 100_000}}], operation="insert")
    )
    # From where nobody was heard before: the org shares the address with them from its first word.
    shared = {"X-Forwarded-For": "198.51.100.9"}
    answers = [
        await org.post("changes", b"{}", {**sign(STRANGER, b"{}"), **shared}) for _ in range(8)
    ]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
    assert int(answers[-1].headers["Retry-After"]) >= 1
    async with raw_client(penstock) as raw:
        signed = "".join(
            f"{name}: {value}\r\n" for name, value in {**sign(STRANGER, large), **shared}.items()
        )
        await raw.write(
            f"POST /v1/orgs/{ORG_ID}/changes HTTP/1.1\r\nHost: x\r\n{signed}"
            f"Content-Length: {len(large)}\r\n\r\n".encode()
        )
        assert (await raw.answer())[0] == 429
    for body in (msgspec.json.encode(callout(UPDATE)), large):
        answer = await org.post("changes", body, {**sign(org.secret, body), **shared})
        assert answer.status == 202
    handshakes = [
        (await org.post("handshake", b"{}", {**sign(STRANGER, b"{}"), **shared})).status
        for _ in range(2)
    ]
    # The code was used up with the first callout: there is nothing to guess.
    assert handshakes == [403, 403]
    lines = [json.loads(line) for line in running.log.splitlines()]
    refused = [line for line in lines if line["event"] in ("signature_failed", "request_refused")]
    assert [(line["event"], line.get("address")) for line in refused] == [
        ("signature_failed", "198.51.100.9")
    ]
    async with penstock.session.get(f"{running.admin_url}/metrics") as response:
        assert 'penstock_failed_signatures_total{over="address"} 4.0' in await response.text()


async def test_a_connect_code_cannot_be_guessed_at_any_rate_and_who_has_it_connects_amid_guesses(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest(PENSTOCK_INGEST__FAILED_SIGNATURES_PER_MINUTE="5")
    added = (await penstock.run("org", "add", ORG_ID, "--sync-user", SYNC_USER_ID, "--json")).json()
    wish = msgspec.json.encode(
        {
            "version": 1,
            "org_id": ORG_ID,
            "instance_url": "https://example.my.salesforce.com",
            "is_sandbox": False,
            "user_id": SYNC_USER_ID,
            "package_version": "0.1.0",
        }
    )
    url = f"{penstock.ingest_url}/v1/orgs/{ORG_ID}/handshake"
    statuses = []
    for secret in (*[STRANGER] * 7, added["connect_code"]):
        async with penstock.session.post(url, data=wish, headers=sign(secret, wish)) as response:
            statuses.append(response.status)
    assert statuses == [401] * 5 + [429] * 2 + [200]
