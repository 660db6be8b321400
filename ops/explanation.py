"""Why someone is enrolled: the rule, the change, the values that decided, each stage's time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw

from ops.enrollments import State
from ops.errors import OpsError
from pipeline.json_text import decode_fields, unmask
from rules import Evidence, explain

if TYPE_CHECKING:
    from pipeline.database import Connection

Delivery: TypeAlias = Literal["open", "delivered", "failed", "superseded"]

# The commit's own time where the server keeps it, else the time of the row.
_READ: Final = """
    SELECT enrollment_id, enrollment.org_id, enrollment.sequence, enrollment.recipient,
           enrollment.state, enrollment.generation, firing.rule, firing.rule_version,
           firing.object, firing.record_id, firing.capture_id, firing.transaction_id,
           firing.captured_at, firing.evidence, change.operation, change.callout_id,
           change.received_at,
           (extract(epoch FROM change.persisted_at) * 1000)::float8 AS persisted_at,
           (extract(epoch FROM firing.fired_at) * 1000)::float8 AS fired_at,
           (extract(epoch FROM enrollment.enrolled_at) * 1000)::float8 AS enrolled_at,
           (extract(epoch FROM CASE WHEN current_setting('track_commit_timestamp')::boolean
                               THEN pg_xact_commit_timestamp(firing.xmin) END) * 1000)::float8
               AS committed_at,
           outbox.state AS delivery, outbox.attempts, outbox.last_error, outbox.idempotency_key,
           (extract(epoch FROM outbox.settled_at) * 1000)::float8 AS settled_at
    FROM enrollment
    JOIN firing USING (firing_id)
    LEFT JOIN change ON change.captured_at = firing.captured_at
        AND change.capture_id = firing.capture_id AND change.record_id = firing.record_id
        AND change.org_id = firing.org_id
    LEFT JOIN outbox USING (enrollment_id, generation)
    WHERE enrollment_id = $1"""
_EXISTS: Final = "SELECT true FROM enrollment WHERE enrollment_id = $1"


class Stage(msgspec.Struct, frozen=True):
    """One stage of the path and when it handled the change, in Unix ms."""

    stage: str
    at: float
    since_received_ms: float | None


class Condition(msgspec.Struct, frozen=True):
    """One condition that decided, in words and with its values.

    `negated` is true of a condition under a `not`, which made the rule true by not holding.
    """

    reads: str
    negated: bool
    evidence: Raw


class Explanation(msgspec.Struct, frozen=True):
    """The whole trail of one enrolment."""

    id: int
    org_id: str
    sequence: str
    recipient: str
    state: State
    generation: int
    rule: str
    rule_version: int
    object: str
    record_id: str
    operation: str | None
    capture_id: str
    transaction_id: str
    callout_id: str | None
    conditions: list[Condition]
    delivery: Delivery | None
    attempts: int | None
    last_error: str | None
    idempotency_key: str | None
    stages: list[Stage]


async def explain_enrollment(connection: Connection, enrollment_id: int) -> Explanation:
    """Return the trail of one enrolment.

    Raises:
        OpsError: there is no such enrolment, or nothing enrols it any more.
    """
    row = await connection.fetchrow(_READ, enrollment_id)
    if row is None:
        if await connection.fetchval(_EXISTS, enrollment_id):
            raise OpsError(f"nothing enrols the recipient of enrolment {enrollment_id} any more")
        raise OpsError(f"there is no enrolment {enrollment_id}: `penstock enrollments list`")
    at = {
        "captured in Salesforce": row["captured_at"],
        "received by ingest": row["received_at"],
        "persisted by a worker": row["persisted_at"],
        "rule fired": row["fired_at"],
        "enrolled": row["enrolled_at"],
        "committed": row["committed_at"],
        "settled by the relay": row["settled_at"],
    }
    received = row["received_at"]
    stages = [
        Stage(stage, float(time), None if received is None else round(time - received, 1))
        for stage, time in at.items()
        if time is not None
    ]
    copied = {
        name: row[name]
        for name in Explanation.__struct_fields__
        if name not in {"id", "conditions", "stages"}
    }
    return Explanation(
        id=enrollment_id, conditions=_conditions(row["evidence"]), stages=stages, **copied
    )


def _conditions(evidence: str) -> list[Condition]:
    return [_condition(bytes(text)) for text in msgspec.json.decode(evidence, type=list[Raw])]


def _condition(text: bytes) -> Condition:
    evidence = msgspec.convert(decode_fields(text), Evidence)
    return Condition(
        reads=explain(evidence), negated=not evidence.verdict, evidence=Raw(unmask(text))
    )
