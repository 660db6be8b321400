"""A callout's body is the wire contract, and its request is what Apex sends."""

from __future__ import annotations

import gzip
import json
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest
from standardwebhooks.webhooks import Webhook

from ops.sample.callout import Answer, Caller, body
from ops.sample.records import SampleOrg
from ops.sample.story import story
from ops.sample.timeline import Run
from pipeline.signing import new_secret, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from ops.sample.capture import Capture

ORG = SampleOrg(4)
KEYS = [
    *("version", "org_id", "object", "operation", "capture_id", "transaction_id", "sequence"),
    *("captured_at", "actor_id", "changes"),
]


class Sent(NamedTuple):
    method: str
    url: str
    data: bytes | None
    headers: dict[str, str]
    allow_redirects: bool

    @property
    def content(self) -> bytes:
        assert self.data is not None
        return gzip.decompress(self.data)


class Session:
    """Stands in for an `aiohttp.ClientSession`: keeps each request, gives the answer it has."""

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self.status = 202
        self.headers: dict[str, str] = {}
        self.content = b"{}"

    @asynccontextmanager
    async def request(self, method: str, url: str, **options: object) -> AsyncIterator[Session]:
        data = cast("bytes | None", options["data"])
        headers = cast("dict[str, str]", options["headers"])
        self.requests.append(
            Sent(method, url, data, headers, allow_redirects=bool(options["allow_redirects"]))
        )
        yield self

    async def read(self) -> bytes:
        return self.content


@pytest.fixture
def session() -> Session:
    return Session()


def caller(session: Session, secret: str | None) -> Caller:
    client = cast("aiohttp.ClientSession", session)
    return Caller("http://127.0.0.1:8080/", ORG.org_id, secret, client)


async def connect(unconnected: Caller, code: str) -> Answer:
    return await unconnected.handshake(
        code,
        instance_url="https://sample.my.salesforce.example",
        is_sandbox=True,
        user_id="0055g00000AbCdEAAV",
        package_version="1.2.3",
    )


def captures() -> list[Capture]:
    return list(story(ORG, Run(1_795_430_400_123)))


@pytest.mark.parametrize("capture", captures(), ids=lambda c: f"{c.object}-{c.operation}")
def test_a_body_has_the_contracts_keys_in_order(capture: Capture) -> None:
    text = body(capture).decode("utf-8")
    document = json.loads(text)
    assert list(document) == KEYS
    assert document["version"] == 1
    assert document["org_id"] == ORG.org_id
    assert len(document["changes"]) == len(capture.changes)
    for change in document["changes"]:
        assert list(change) == ["old", "new"]
        assert (change["old"] is None) == (capture.operation == "insert")
        assert (change["new"] is None) == (capture.operation == "delete")


def test_a_body_is_compact_and_not_ascii_escaped() -> None:
    for capture in captures():
        text = body(capture).decode("utf-8")
        assert not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text))
        assert r"\u" not in text


def test_a_body_keeps_a_decimals_digits() -> None:
    assert b'"Amount":184500.00,' in b"".join(map(body, captures()))


async def test_a_callout_is_compressed_and_carries_apex_headers(session: Session) -> None:
    capture = captures()[0]
    await caller(session, new_secret()).send(capture)
    (sent,) = session.requests
    assert sent.method == "POST"
    assert sent.url == f"http://127.0.0.1:8080/v1/orgs/{ORG.org_id}/changes"
    assert sent.content == body(capture)
    assert sent.headers.items() >= {
        ("User-Agent", "SFDC-Callout/65.0"),
        ("SFDC_STACK_DEPTH", "1"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Encoding", "gzip"),
        ("webhook-id", capture.capture_id),
    }
    assert not sent.allow_redirects


async def test_the_uncompressed_body_is_signed(session: Session) -> None:
    secret, capture = new_secret(), captures()[0]
    await caller(session, secret).send(capture)
    Webhook(secret).verify(body(capture), session.requests[0].headers)


async def test_conditions_are_fetched_with_an_empty_signed_body(session: Session) -> None:
    secret = new_secret()
    await caller(session, secret).conditions()
    (sent,) = session.requests
    assert sent.method == "GET"
    assert sent.url == f"http://127.0.0.1:8080/v1/orgs/{ORG.org_id}/conditions"
    assert sent.data is None
    message_id, timestamp_s = sent.headers["webhook-id"], sent.headers["webhook-timestamp"]
    expected = sign(secret, message_id, int(timestamp_s), b"")
    assert sent.headers["webhook-signature"] == expected
    assert "Content-Encoding" not in sent.headers


async def test_a_handshake_is_signed_with_the_code_and_brings_the_secret(session: Session) -> None:
    code, secret = new_secret(), new_secret()
    session.status = 200
    session.content = json.dumps({"secret": secret, "conditions_version": 1}).encode()
    connecting = caller(session, None)
    answer = await connect(connecting, code)
    (sent,) = session.requests
    assert sent.url == f"http://127.0.0.1:8080/v1/orgs/{ORG.org_id}/handshake"
    assert json.loads(sent.content) == {
        "version": 1,
        "org_id": ORG.org_id,
        "instance_url": "https://sample.my.salesforce.example",
        "is_sandbox": True,
        "user_id": "0055g00000AbCdEAAV",
        "package_version": "1.2.3",
    }
    Webhook(code).verify(sent.content, sent.headers)
    assert answer.decoded()["conditions_version"] == 1
    assert connecting.secret == secret


async def test_a_refused_handshake_brings_no_secret(session: Session) -> None:
    session.status = 403
    connecting = caller(session, None)
    await connect(connecting, new_secret())
    assert connecting.secret is None


async def test_nothing_is_sent_before_there_is_a_secret(session: Session) -> None:
    unconnected = caller(session, None)
    with pytest.raises(RuntimeError, match="not connected"):
        await unconnected.send(captures()[0])
    with pytest.raises(RuntimeError, match="not connected"):
        await unconnected.conditions()
    assert session.requests == []


@pytest.mark.parametrize(
    ("header", "retry_after_s"),
    [({}, None), ({"Retry-After": "3"}, 3.0), ({"Retry-After": "Fri, 01 May 2026"}, None)],
)
async def test_an_answer_says_what_came_back(
    session: Session, header: dict[str, str], retry_after_s: float | None
) -> None:
    session.status, session.headers, session.content = 503, header, b"busy"
    before_ms = int(time.time() * 1_000)
    answer = await caller(session, new_secret()).send(captures()[0])
    assert answer == Answer(503, b"busy", retry_after_s, answer.sent_at)
    assert before_ms <= answer.sent_at <= time.time() * 1_000
