from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline import audit, envelope
from pipeline.errors import BrokerUnavailable
from tests.unit.ingest.edge import ORG_ID, Edge, Group

LEAD_ID = "00Q5g00000HotLdEAJ"
RESEND = {"request_id": 8, "kind": "resend", "object": "Lead", "record_ids": [LEAD_ID]}


def encoded(**keys: Any) -> bytes:
    document = {
        "version": 1,
        "org_id": ORG_ID,
        "audit_id": 9,
        "read_at": 1795430400123,
        "object": "Lead",
        "after_id": None,
        "to_id": None,
        "records": [[LEAD_ID, 1795430400000]],
        **keys,
    }
    return json.dumps(document).encode()


async def test_an_audit_is_published_as_it_came_and_counted() -> None:
    edge = Edge()
    body = encoded()

    assert await edge.post(body, "audit") == (202, {"accepted": 1, "conditions_version": 7})
    ((routing_key, (item,)),) = edge.group.submitted
    assert routing_key == "lead.audit"
    assert (item.callout_id, item.kind, item.body) == ("msg_1", envelope.Kind.AUDIT, body)
    assert audit.read(item.body).records == [(LEAD_ID, 1795430400000)]


async def test_a_range_without_records_is_published_too() -> None:
    edge = Edge()
    assert (await edge.post(encoded(records=[]), "audit"))[1]["accepted"] == 0
    assert len(edge.items) == 1


async def test_its_answer_says_what_else_is_asked_for() -> None:
    edge = Edge()
    await edge.ask(RESEND, {"request_id": 9, "kind": "audit", "object": "Lead"})
    _, answer = await edge.post(encoded(), "audit", compressed=True)
    assert answer["requests"] == [
        {"id": 8, "kind": "resend", "object": "Lead", "ids": [LEAD_ID]},
        {"id": 9, "kind": "audit", "object": "Lead", "after": None},
    ]


@pytest.mark.parametrize(
    ("body", "status", "place"),
    [
        (b"not json", 400, None),
        (encoded(version=2), 422, "$.version"),
        (encoded(records=[[LEAD_ID, 0], [LEAD_ID, 0]]), 422, "$.records[1][0]"),
        (encoded(org_id="00D5g000004OthrEAS"), 403, None),
    ],
)
async def test_what_is_refused_is_not_published(
    body: bytes, status: int, place: str | None
) -> None:
    edge = Edge()
    refused, answer = await edge.post(body, "audit")
    assert (refused, answer["place"]) == (status, place)
    assert edge.group.submitted == []


@pytest.mark.parametrize(
    "edge", [Edge(connected=False), Edge(Group(BrokerUnavailable("the queue is full")))]
)
async def test_a_broker_that_is_away_or_full_is_a_503_with_a_time(edge: Edge) -> None:
    status, answer = await edge.post(encoded(), "audit")
    assert status == 503
    assert answer["retry"]
