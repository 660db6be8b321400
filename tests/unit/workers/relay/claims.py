"""Claims as they come out of the database, made up."""

from __future__ import annotations

from typing import Any, Final

from workers.relay.claim import Cause, Claim, Enrollment, RowKind, Treatment

ORG_ID: Final = "00D5g000004XyzAEAS"


def claim(
    *,
    kind: RowKind = RowKind.ADD,
    generation: int = 1,
    state: str = "pending",
    stands_at: int = 1,
    exited_generation: int = 0,
    **fields: Any,
) -> Claim:
    enrollment = Enrollment(
        enrollment_id=7,
        org_id=ORG_ID,
        sequence="nurture",
        recipient="ana@example.com",
        state=state,
        generation=stands_at,
        exited_generation=exited_generation,
        variables='{"first_name": "Half \\u001ad83d", "worth": 12.50, "none": null}',
        reason="exited: rule cold",
    )
    told: dict[str, Any] = {
        "outbox_id": 1,
        "attempt": 1,
        "was_unanswered": False,
        "target": "webhook",
        "org_id": ORG_ID,
        "sequence": "nurture",
        "recipient": "ana@example.com",
        "idempotency_key": "enr_1",
        "created_at_s": 1_795_430_400.9,
        "enrollment": enrollment,
        "cause": Cause(
            rule="hot-leads",
            rule_version=3,
            object="Lead",
            record_id="00Q5g00000HotLdEAJ",
            capture_id="capture",
            captured_at=1_795_430_400_123,
        ),
        "treatment": Treatment(),
        **fields,
    }
    return Claim(kind=kind, generation=generation, **told)
