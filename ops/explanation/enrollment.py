"""Why someone is enrolled: the rule, the change, the values that decided, each stage's time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from ops.enrollments import State
from ops.errors import OpsError
from ops.explanation.conditions import Condition, kept_conditions
from ops.explanation.replayed import Replayed, replayed_by
from ops.explanation.stages import Stage, at_the_worker, by_time, stages
from pipeline.objects import Operation
from workers.healing.reading import read_at_of

if TYPE_CHECKING:
    from asyncpg import Record

    from pipeline.database import Connection

Delivery: TypeAlias = Literal["open", "held", "delivered", "failed", "suppressed", "superseded"]

# The commit's own time where the server keeps it, else the time of the row. A record that another
# one's change re-evaluated has its firing on that change.
_READ: Final = """
    SELECT enrollment.enrollment_id, enrollment.org_id, enrollment.sequence, enrollment.recipient,
           enrollment.state, enrollment.generation, enrollment.reason,
           enrollment.exited_generation, firing.cause_record_id, firing.rule, firing.rule_version,
           firing.object, firing.record_id, firing.capture_id, firing.transaction_id,
           firing.captured_at, firing.evidence, change.operation, change.callout_id,
           change.received_at,
           (extract(epoch FROM change.persisted_at) * 1000)::float8 AS persisted_at,
           (extract(epoch FROM firing.fired_at) * 1000)::float8 AS fired_at,
           (extract(epoch FROM enrollment.enrolled_at) * 1000)::float8 AS enrolled_at,
           (extract(epoch FROM CASE WHEN current_setting('track_commit_timestamp')::boolean
                               THEN pg_xact_commit_timestamp(firing.xmin) END) * 1000)::float8
               AS committed_at,
           redelivery.delivery_count, firing.run_id,
           (extract(epoch FROM redelivery.delivered_at) * 1000)::float8 AS delivered_at,
           (extract(epoch FROM outbox.created_at) * 1000)::float8 AS outbox_at,
           outbox.state AS delivery, outbox.attempts, outbox.last_error, outbox.idempotency_key,
           (extract(epoch FROM outbox.settled_at) * 1000)::float8 AS settled_at
    FROM enrollment
    JOIN firing USING (firing_id)
    LEFT JOIN change ON change.captured_at = firing.captured_at
        AND change.capture_id = firing.capture_id
        AND change.record_id = coalesce(firing.cause_record_id, firing.record_id)
        AND change.org_id = firing.org_id
    LEFT JOIN redelivery ON redelivery.captured_at = firing.captured_at
        AND redelivery.capture_id = firing.capture_id
        AND redelivery.record_id = coalesce(firing.cause_record_id, firing.record_id)
        AND redelivery.org_id = firing.org_id
    LEFT JOIN outbox ON outbox.enrollment_id = enrollment.enrollment_id
        AND outbox.generation = enrollment.generation AND outbox.kind = 'add'
    WHERE enrollment.enrollment_id = $1"""
_EXISTS: Final = "SELECT true FROM enrollment WHERE enrollment_id = $1"


class Explanation(msgspec.Struct, frozen=True):
    """How one enrolment came to be, and whether the target was told of it.

    `reason` says why the state is what it is; every generation up to `exited_generation` is over.
    `cause_record_id` is there when that record's change (`capture_id`, `captured_at` in Unix ms)
    had `record_id` judged again. `read_at` (Unix ms) is there when no trigger told of the state: a
    load or an audit read it then. `replay` is there when a run sent the stored change through the
    rules again, and the rule fired by that.
    """

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
    reason: str | None
    exited_generation: int
    captured_at: int
    cause_record_id: str | None
    read_at: int | None
    replay: Replayed | None


async def explain_enrollment(connection: Connection, enrollment_id: int) -> Explanation:
    """Return how one enrolment came to be.

    Raises:
        OpsError: there is no such enrolment, or nothing enrols it any more.
    """
    row = await connection.fetchrow(_READ, enrollment_id)
    if row is None:
        if await connection.fetchval(_EXISTS, enrollment_id):
            raise OpsError(f"nothing enrols the recipient of enrolment {enrollment_id} any more")
        raise OpsError(f"there is no enrolment {enrollment_id}: `penstock enrollments list`")
    copied = {
        name: row[name]
        for name in Explanation.__struct_fields__
        if name not in {"id", "conditions", "stages", "operation", "read_at", "replay"}
    }
    read_at = read_at_of(row["capture_id"])
    return Explanation(
        id=enrollment_id,
        operation=row["operation"] if read_at is None else Operation.SNAPSHOT,
        read_at=read_at,
        replay=await replayed_by(connection, row["run_id"]),
        conditions=kept_conditions(row["evidence"]),
        stages=_stages(row, read_at),
        **copied,
    )


def _stages(row: Record, read_at: int | None) -> list[Stage]:
    first = "captured in Salesforce" if read_at is None else "changed in Salesforce"
    at = {
        first: row["captured_at"],
        "read in Salesforce": read_at,
        "received by ingest": row["received_at"],
    }
    then = {
        **at_the_worker(row["persisted_at"], row["delivered_at"], row["delivery_count"]),
        "rule fired": row["fired_at"],
        "put into the outbox": row["outbox_at"],
        "enrolled": row["enrolled_at"],
        "committed": row["committed_at"],
        "settled by the relay": row["settled_at"],
    }
    return stages(at | by_time(then), row["received_at"])
