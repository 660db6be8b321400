from __future__ import annotations

import msgspec

from workers.relay.outbox import Claim, Enrollment
from workers.relay.webhook import payload


def claim(*, generation: int = 1, state: str = "pending", stands_at: int = 1) -> Claim:
    enrollment = Enrollment(
        enrollment_id=7,
        org_id="00D5g000004XyzAEAS",
        sequence="nurture",
        recipient="ana@example.com",
        state=state,
        generation=stands_at,
        variables='{"first_name": "Half \\u001ad83d", "worth": 12.50, "none": null}',
        rule="hot-leads",
        rule_version=3,
        object="Lead",
        record_id="00Q5g00000HotLdEAJ",
        capture_id="capture",
        captured_at=1_795_430_400_123,
    )
    return Claim(1, 1, generation, "enr_1", 1_795_430_400.9, enrollment)


def test_a_delivery_tells_who_is_added_to_what_and_why() -> None:
    told = msgspec.json.decode(payload(claim()).replace(b"\\ud83d", b"emoji"))

    assert told["type"] == "sequence.recipient.added"
    assert told["timestamp"] == "2026-11-23T10:40:00Z"
    assert told["data"] == {
        "enrollment_id": 7,
        "generation": 1,
        "org_id": "00D5g000004XyzAEAS",
        "sequence": "nurture",
        "recipient": "ana@example.com",
        "variables": {"first_name": "Half emoji", "worth": 12.5, "none": None},
        "rule": "hot-leads",
        "rule_version": 3,
        "object": "Lead",
        "record_id": "00Q5g00000HotLdEAJ",
        "capture_id": "capture",
        "captured_at": 1_795_430_400_123,
    }


def test_variables_keep_their_digits_and_their_odd_characters() -> None:
    body = payload(claim())

    assert b'"worth":12.50' in body
    assert b'"first_name":"Half \\ud83d"' in body


def test_an_exited_enrolment_and_a_generation_taken_back_need_no_telling() -> None:
    assert claim(state="exited", stands_at=0).is_superseded
    assert claim(generation=2, stands_at=1).is_superseded
    assert not claim(generation=1, stands_at=2).is_superseded
    assert not claim(state="active").is_superseded
