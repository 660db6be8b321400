"""What is to become of a claimed row, by how everything stands the moment before it is sent."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, assert_never
from zlib import crc32

import msgspec

from workers.relay.claim import (
    Cause,
    Claim,
    Delayed,
    DelayedFor,
    Enrollment,
    RowKind,
    Send,
    Superseded,
    Suppressed,
    Treatment,
)
from workers.relay.quiet_hours import next_midnight, quiet_until, zone_named

if TYPE_CHECKING:
    from datetime import datetime

    from asyncpg import Record

    from workers.relay.claim import Verdict

# After midnight sequences begin a little apart; one's rows all at once, so that they keep order.
_JITTER_S: Final = 60


def read_claim(row: Record, claimed: Record, now: datetime) -> Claim:
    """Return the claim of a row that was looked at again, with its verdict."""
    enrollment = None
    if row["enrollment_id"] is not None:
        enrollment = Enrollment(
            enrollment_id=row["enrollment_id"],
            org_id=row["org_id"],
            sequence=row["sequence"],
            recipient=row["recipient"],
            state=row["state"],
            generation=row["stands_at"],
            exited_generation=row["exited_generation"],
            variables=row["variables"],
            reason=row["reason"],
        )
    claim = Claim(
        outbox_id=row["outbox_id"],
        attempt=claimed["attempts"],
        was_unanswered=claimed["was_unanswered"],
        kind=RowKind(row["kind"]),
        target=row["target"],
        org_id=row["org_id"],
        sequence=row["sequence"],
        recipient=row["recipient"],
        generation=row["generation"] or 0,
        idempotency_key=row["idempotency_key"],
        created_at_s=row["created_at_s"],
        enrollment=enrollment,
        cause=Cause(**{name: row[name] for name in Cause.__struct_fields__}),
        treatment=Treatment(**{name: row[name] for name in Treatment.__struct_fields__}),
        payload=row["payload"],
        was_added=row["was_added"],
        is_followed=row["is_followed"],
    )
    return msgspec.structs.replace(claim, verdict=_judge(claim, _suppressed_by(row), now))


def needs_no_telling(claim: Claim, state: str, generation: int, exited_generation: int) -> bool:
    """Tell whether the enrolment has become something of which the target need not hear.

    A generation that another followed without an exit is still told: the other may be taken back
    by an older change that comes late. An exit that such a change brought between two generations
    is not told after the second: it would undo that.
    """
    is_enrolled = generation > exited_generation
    is_over = state == "exited" or claim.generation <= exited_generation
    match claim.kind:
        case RowKind.ADD:
            return is_over or generation < claim.generation
        case RowKind.EXIT:
            stands = exited_generation < claim.generation <= generation
            return stands or not claim.was_added or (is_enrolled and claim.is_followed)
        case RowKind.CALL:
            return False
        case _:
            assert_never(claim.kind)


def full_day(claim: Claim, now: datetime) -> Delayed:
    """Return how a row is put off that found no place in its sequence's day."""
    midnight = next_midnight(now, zone_named(claim.treatment.time_zone))
    place = f"{claim.org_id} {claim.sequence} {midnight.date()}"
    jitter = timedelta(seconds=crc32(place.encode()) % _JITTER_S)
    return Delayed(DelayedFor.DAILY_CAP, midnight + jitter)


def _judge(claim: Claim, suppressed_by: str | None, now: datetime) -> Verdict:
    stands = claim.enrollment
    if stands is not None and needs_no_telling(
        claim, stands.state, stands.generation, stands.exited_generation
    ):
        return Superseded()
    if claim.kind is not RowKind.ADD:
        return Send()
    if suppressed_by is not None:
        return Suppressed(f"suppressed: {suppressed_by}")
    treatment = claim.treatment
    if treatment.quiet_from is not None and treatment.quiet_until is not None:
        zone = zone_named(treatment.quiet_time_zone)
        until = quiet_until(now, treatment.quiet_from, treatment.quiet_until, zone)
        if until is not None:
            return Delayed(DelayedFor.QUIET_HOURS, until)
    if treatment.daily_cap is None:
        return Send()
    return Send(now.astimezone(zone_named(treatment.time_zone)).date())


def _suppressed_by(row: Record) -> str | None:
    if row["listed_value"] is None:
        refuses: str | None = row["refuses"]
        return refuses
    why = f" ({row['listed_reason']})" if row["listed_reason"] else ""
    return f"{row['listed_value']} is on the list{why}"
