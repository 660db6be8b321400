"""Listing enrolments, and releasing those that are held."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from ops.errors import OpsError, WrongUsage
from ops.times import with_iso_times

if TYPE_CHECKING:
    from pipeline.database import Connection

State: TypeAlias = Literal["pending", "held", "active", "exited", "finished", "failed"]

# One that lost its only firing to an earlier change never was: it depends on the order of arrival.
# What is pending says what it waits for, if that is a brake.
_SELECT: Final = """
    SELECT enrollment.enrollment_id AS id, enrollment.org_id, enrollment.sequence,
           enrollment.recipient, enrollment.state,
           CASE WHEN enrollment.state <> 'pending' OR enrollment.reason IS NOT NULL
                    THEN enrollment.reason
                WHEN sequence.paused THEN 'waits: the sequence is paused'
                WHEN told.delayed_for = 'quiet_hours' THEN 'waits: quiet hours'
                WHEN told.delayed_for = 'daily_cap' THEN 'waits: the daily cap is reached'
                WHEN told.last_error IS NOT NULL THEN 'waits: ' || told.last_error
                END AS reason,
           firing.rule, rule_version, object, record_id, enrollment.generation, enrolled_at,
           told.state AS delivery, CASE WHEN told.state = 'open' THEN told.due_at END AS due_at
    FROM enrollment
    JOIN firing USING (firing_id)
    LEFT JOIN outbox AS told ON told.enrollment_id = enrollment.enrollment_id
        AND told.generation = enrollment.generation AND told.kind = 'add'
    LEFT JOIN sequence
        ON sequence.org_id = enrollment.org_id AND sequence.sequence = enrollment.sequence"""
_LIST: Final = f"""{_SELECT}
    WHERE ($1::text IS NULL OR enrollment.org_id = $1)
      AND ($2::text IS NULL OR enrollment.sequence = $2)
      AND ($3::text IS NULL OR enrollment.state = $3)
    ORDER BY enrollment.enrollment_id
    LIMIT $4"""
_NEWEST: Final = f"""{_SELECT}
    WHERE ($1::text IS NULL OR enrollment.org_id = $1)
      AND ($2::text IS NULL OR enrollment.sequence = $2)
      AND ($3::text IS NULL OR enrollment.state = $3)
      AND ($4::text IS NULL OR enrollment.recipient = $4)
      AND ($5::bigint IS NULL OR enrollment.enrollment_id < $5)
    ORDER BY enrollment.enrollment_id DESC
    LIMIT $6"""

# Enrolments before outbox rows, and in the order of their keys, as workers lock them.
_LOCK_HELD: Final = """
    SELECT enrollment_id FROM enrollment
    WHERE enrollment_id IN (
        SELECT enrollment_id FROM outbox
        WHERE state = 'held' AND ($1::text IS NULL OR org_id = $1)
          AND ($2::text IS NULL OR rule = $2) AND ($3::text IS NULL OR sequence = $3)
          AND ($4::bigint[] IS NULL OR enrollment_id = ANY($4)))
    ORDER BY org_id, sequence, recipient
    FOR NO KEY UPDATE"""
_OPEN: Final = """
    UPDATE outbox SET state = 'open', due_at = now(), last_error = NULL
    WHERE state = 'held' AND enrollment_id = ANY($1::bigint[])
      AND ($2::text IS NULL OR rule = $2)"""
_RELEASE: Final = """
    UPDATE enrollment SET state = 'pending', reason = NULL
    WHERE enrollment_id = ANY($1::bigint[]) AND state = 'held'
      AND NOT EXISTS (SELECT FROM outbox WHERE outbox.enrollment_id = enrollment.enrollment_id
                        AND outbox.generation = enrollment.generation AND outbox.state = 'held')"""


class EnrollmentRow(msgspec.Struct, frozen=True):
    """An enrolment and the firing that decided it; times are RFC 3339.

    `reason` says why the state is what it is. `delivery` is how far the target was told, `due_at`
    when it is told next.
    """

    id: int
    org_id: str
    sequence: str
    recipient: str
    state: State
    reason: str | None
    rule: str | None
    rule_version: int | None
    object: str | None
    record_id: str | None
    generation: int
    enrolled_at: str
    delivery: str | None
    due_at: str | None


class Held(msgspec.Struct, frozen=True):
    """Which of the held enrolments are meant; None is no matter which."""

    org_id: str | None = None
    rule: str | None = None
    sequence: str | None = None
    ids: Collection[int] | None = None


class Released(msgspec.Struct, frozen=True):
    """How many enrolments were let go, or would be if `dry_run`."""

    released: int
    dry_run: bool


async def listing(
    connection: Connection,
    *,
    org_id: str | None,
    sequence: str | None,
    limit: int,
    state: str | None = None,
) -> list[EnrollmentRow]:
    """Return enrolments in the order in which they came to be."""
    rows = await connection.fetch(_LIST, org_id, sequence, state, limit)
    return [EnrollmentRow(**with_iso_times(row)) for row in rows]


async def newest(  # noqa: PLR0913  each narrows them by something else
    connection: Connection,
    *,
    org_id: str | None = None,
    sequence: str | None = None,
    state: State | None = None,
    recipient: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[EnrollmentRow]:
    """Return enrolments, the newest first, those `before` an id if one is given."""
    rows = await connection.fetch(_NEWEST, org_id, sequence, state, recipient, before, limit)
    return [EnrollmentRow(**with_iso_times(row)) for row in rows]


async def release(connection: Connection, held: Held, *, dry_run: bool) -> Released:
    """Let held enrolments go to their target; their rules' ceilings count them no second time.

    One that has exited meanwhile is let go, too: the relay sees that and tells nobody.

    Raises:
        WrongUsage: nothing says which ones.
        OpsError: one of the ids is not held; none is released.
    """
    if held == Held():
        raise WrongUsage("say which: ids, --rule, --sequence or --org")
    ids = None if held.ids is None else list(held.ids)
    async with connection.transaction():
        rows = await connection.fetch(_LOCK_HELD, held.org_id, held.rule, held.sequence, ids)
        found = [row["enrollment_id"] for row in rows]
        if missing := sorted(set(ids or ()) - set(found)):
            names = ", ".join(map(str, missing))
            raise OpsError(f"not held: {names} (`penstock enrollments list --state held`)")
        if not dry_run:
            await connection.execute(_OPEN, found, held.rule)
            await connection.execute(_RELEASE, found)
    return Released(len(found), dry_run)
