from __future__ import annotations

import msgspec

from tests.unit.workers.relay.claims import ORG_ID, claim
from workers.relay.claim import RowKind
from workers.relay.targets.webhook import payload

WHO = {
    "enrollment_id": 7,
    "generation": 1,
    "org_id": ORG_ID,
    "sequence": "nurture",
    "recipient": "ana@example.com",
}
WHY = {
    "rule": "hot-leads",
    "rule_version": 3,
    "object": "Lead",
    "record_id": "00Q5g00000HotLdEAJ",
    "capture_id": "capture",
    "captured_at": 1_795_430_400_123,
}


def test_a_delivery_tells_who_is_added_to_what_and_why() -> None:
    told = msgspec.json.decode(payload(claim()).replace(b"\\ud83d", b"emoji"))

    assert told["type"] == "sequence.recipient.added"
    assert told["timestamp"] == "2026-11-23T10:40:00Z"
    variables = {"first_name": "Half emoji", "worth": 12.5, "none": None}
    assert told["data"] == {**WHO, "variables": variables, **WHY}


def test_an_exit_tells_who_is_removed_from_what_and_why() -> None:
    told = msgspec.json.decode(payload(claim(kind=RowKind.EXIT)))
    assert told["type"] == "sequence.recipient.removed"
    assert told["data"] == {**WHO, "reason": "exited: rule cold", **WHY}


def test_a_call_tells_what_the_rule_said_as_it_stood() -> None:
    body = payload(
        claim(kind=RowKind.CALL, payload='{"fields": {"Worth": 1.50, "N": "\\u001a0000"}}')
    )
    assert b'"type":"rule.fired"' in body
    assert b'"data":{"fields": {"Worth": 1.50, "N": "\\u0000"}}' in body


def test_variables_keep_their_digits_and_their_odd_characters() -> None:
    body = payload(claim())

    assert b'"worth":12.50' in body
    assert b'"first_name":"Half \\ud83d"' in body
