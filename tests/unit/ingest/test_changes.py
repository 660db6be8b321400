from __future__ import annotations

import asyncio
import json
import secrets
import time
from typing import Any

import pytest

from ingest.grouping import Grouper
from ingest.line import Line
from pipeline import callout, json_text
from pipeline.errors import BrokerUnavailable
from pipeline.signing import new_secret
from pipeline.topology import MAX_MESSAGE_BYTES
from tests.unit.ingest.edge import ORG_ID, Edge, Group

LEAD_ID = "00Q5g00000HotLdEAJ"
LOAD = {"request_id": 7, "kind": "load", "object": "Lead", "cursor": LEAD_ID}


def document(**keys: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "org_id": ORG_ID,
        "object": "Lead",
        "operation": "update",
        "capture_id": "capture-1",
        "transaction_id": "transaction-1",
        "sequence": 0,
        "captured_at": 1795430400123,
        "actor_id": "0055g00000AbCdEAAV",
        "changes": [{"old": {"Id": LEAD_ID}, "new": {"Id": LEAD_ID}}],
        **keys,
    }


def encoded(**keys: Any) -> bytes:
    return json.dumps(document(**keys)).encode()


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_callout_is_published_as_it_was_signed_and_counted(*, compressed: bool) -> None:
    edge = Edge()
    body = encoded()
    before_ms = time.time_ns() // 1_000_000
    answer = await edge.post(body, compressed=compressed)
    assert answer == (202, {"accepted": 1, "conditions_version": 7})
    ((routing_key, (item,)),) = edge.group.submitted
    assert routing_key == "lead.update"
    assert (item.callout_id, item.masked, item.text()) == ("msg_1", False, body)
    # What came compressed goes on compressed.
    assert item.inflated_bytes == (len(body) if compressed else 0)
    assert before_ms <= item.received_at <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    "text", [r"\u0000", r"\ud83d", r"half \ude00 emoji", r"\u001a0000", "\\\\"]
)
@pytest.mark.parametrize("compressed", [False, True])
async def test_text_of_any_characters_is_taken_and_kept(text: str, *, compressed: bool) -> None:
    edge = Edge()
    body = encoded().replace(b'"Id"', b'"Name": "' + text.encode() + b'", "Id"')
    assert (await edge.post(body, compressed=compressed))[0] == 202
    (item,) = edge.items
    assert item.masked is (json_text.mask(body) is not body)
    assert json_text.unmask(item.text()) == body
    assert len(callout.read(item.text()).changes) == 1


async def test_a_large_callout_is_published_in_slices_that_share_its_id() -> None:
    edge = Edge()
    record = {"Id": LEAD_ID, "Description": "x" * 30_000}
    body = encoded(changes=[{"old": record, "new": record}] * 20)
    assert await edge.post(body) == (202, {"accepted": 20, "conditions_version": 7})
    assert len(edge.items) > 1
    assert {item.callout_id for item in edge.items} == {"msg_1"}
    assert max(len(item.body) for item in edge.items) <= MAX_MESSAGE_BYTES
    assert sum(len(callout.read(item.body).changes) for item in edge.items) == 20


async def test_a_large_callout_that_came_compressed_goes_on_whole() -> None:
    edge = Edge()
    changes = [{"old": {"Id": LEAD_ID, "Name": secrets.token_hex(1500)}, "new": {"Id": LEAD_ID}}]
    body = encoded(changes=changes * 200)
    assert len(body) > 2 * MAX_MESSAGE_BYTES
    assert (await edge.post(body, compressed=True))[1]["accepted"] == 200
    (item,) = edge.items
    assert item.text() == body


async def test_what_inflates_to_more_than_a_message_may_hold_is_sliced() -> None:
    edge = Edge()
    record = {"Id": LEAD_ID, "Description": "x" * 30_000}
    body = encoded(changes=[{"old": record, "new": record}] * 100)
    assert (await edge.post(body, compressed=True))[1]["accepted"] == 100
    assert {item.inflated_bytes for item in edge.items} == {0}
    assert max(len(item.body) for item in edge.items) <= MAX_MESSAGE_BYTES


async def test_a_callout_of_no_changes_is_accepted_and_not_published() -> None:
    edge = Edge()
    assert (await edge.post(encoded(changes=[])))[1]["accepted"] == 0
    assert edge.group.submitted == []


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"not json", 400, "not JSON"),
        (b'{"version": 2}', 422, "$"),
        (encoded(object="lead"), 422, "$.object"),
        (encoded(org_id="00D5g000004OthrEAS"), 403, "sandbox"),
        (encoded(padding="x" * 2000), 413, "1500 bytes"),
    ],
)
async def test_what_is_refused_is_not_published(body: bytes, status: int, detail: str) -> None:
    edge = Edge(max_body_bytes=1500)
    refused, answer = await edge.post(body)
    assert refused == status
    assert detail in answer["detail"]
    assert edge.group.submitted == []


async def test_a_forged_callout_learns_nothing_of_its_body() -> None:
    edge = Edge()
    assert (await edge.post(b"not json", secret=new_secret()))[0] == 401
    assert edge.group.submitted == []


async def test_the_org_may_be_named_in_its_short_form() -> None:
    assert (await Edge().post(encoded(org_id=ORG_ID[:15])))[0] == 202


@pytest.mark.parametrize(
    "edge",
    [
        Edge(connected=False),
        Edge(Group(BrokerUnavailable("the queue is full"))),
        Edge(Grouper(lambda *_: asyncio.sleep(3600), 0.01)),
    ],
    ids=["away", "full", "silent"],
)
async def test_a_broker_that_is_away_full_or_silent_is_a_503_with_a_time(edge: Edge) -> None:
    status, answer = await edge.post(encoded())
    assert status == 503
    assert answer["retry"]


async def test_over_the_orgs_rate_is_a_429_with_a_time() -> None:
    edge = Edge(org_callouts_per_s=1)
    assert (await edge.post(encoded()))[0] == 202
    status, answer = await edge.post(encoded())
    assert status == 429
    assert answer["retry"]


async def test_a_snapshot_is_answered_with_what_else_is_asked_for_and_a_change_is_not() -> None:
    edge = Edge()
    await edge.ask(LOAD)
    snapshot = encoded(
        operation="snapshot", read_at=1795430400123, changes=[{"new": {"Id": LEAD_ID}}]
    )

    assert await edge.post(encoded()) == (202, {"accepted": 1, "conditions_version": 7})
    status, answer = await edge.post(snapshot)
    assert (status, answer["accepted"], answer["conditions_version"]) == (202, 1, 7)
    assert answer["requests"] == [
        {"id": 7, "kind": "load", "object": "Lead", "since": None, "after": LEAD_ID}
    ]
    assert [key for key, _ in edge.group.submitted] == ["lead.update", "lead.snapshot"]

    await edge.ask()
    assert (await edge.post(snapshot))[1] == {"accepted": 1, "conditions_version": 7}


async def test_a_snapshot_without_its_time_of_reading_is_refused_at_its_place() -> None:
    status, answer = await Edge().post(encoded(operation="snapshot"))
    assert (status, answer["place"]) == (422, "$.read_at")


async def test_an_org_over_its_rate_is_refused_before_it_is_known_who_asks() -> None:
    edge = Edge(org_callouts_per_s=1)
    body = encoded()
    # A stranger's callouts cost the org nothing, and once it is over its rate are not looked at.
    for _ in range(3):
        assert (await edge.post(body, secret=new_secret()))[0] == 401
    assert (await edge.post(body))[0] == 202
    assert (await edge.post(body, secret=new_secret()))[0] == 429
    assert (await edge.post(body))[0] == 429


async def test_who_has_too_much_waiting_is_told_when_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edge = Edge()
    body = encoded()
    monkeypatch.setattr(Line, "is_over", lambda *_: True)
    monkeypatch.setattr(Line, "wait_s", lambda *_: 3.2)
    status, told = await edge.post(body, secret=new_secret())
    assert (status, told["retry"]) == (429, 4)
    assert "Account" in told["detail"]
    assert not edge.items
