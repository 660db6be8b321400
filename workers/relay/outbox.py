"""Claiming and settling outbox rows, each in a short transaction; no delivery happens inside one.

A claim is a lease: the row is due again once it runs out. Its fence is the attempt that took it,
so a relay that comes back late from a delivery cannot settle another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

# Only the oldest open row per target and recipient: a recipient is told in order.
CLAIM: Final = """
    WITH due AS (
        SELECT outbox_id FROM outbox AS one
        WHERE state = 'open' AND due_at <= now()
          AND NOT EXISTS (
              SELECT FROM outbox AS earlier
              WHERE earlier.state = 'open' AND earlier.target = one.target
                AND earlier.recipient = one.recipient AND earlier.outbox_id < one.outbox_id)
        ORDER BY due_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED)
    UPDATE outbox
    SET attempts = attempts + 1, due_at = now() + make_interval(secs => $2)
    FROM due
    WHERE outbox.outbox_id = due.outbox_id
    RETURNING outbox.outbox_id, outbox.attempts, outbox.enrollment_id, outbox.generation,
              outbox.idempotency_key,
              extract(epoch FROM outbox.created_at)::float8 AS created_at_s"""

# What to say is read as it stands now, not as it stood when the row was written.
_READ_ENROLLMENTS: Final = """
    SELECT enrollment_id, enrollment.org_id, enrollment.sequence, recipient, state, generation,
           variables, rule, rule_version, object, record_id, capture_id, captured_at
    FROM enrollment LEFT JOIN firing USING (firing_id)
    WHERE enrollment_id = ANY($1::bigint[])"""

# Locked before the outbox row, as workers do.
_LOCK_ENROLLMENT: Final = """
    SELECT state, generation FROM enrollment WHERE enrollment_id = $1 FOR NO KEY UPDATE"""
_SETTLE: Final = """
    UPDATE outbox SET state = $3, last_error = $4, settled_at = now()
    WHERE outbox_id = $1 AND attempts = $2 AND state = 'open'"""
_SETTLE_ENROLLMENT: Final = """
    UPDATE enrollment SET state = $3
    WHERE enrollment_id = $1 AND generation = $2 AND state = 'pending'"""
_RETRY: Final = """
    UPDATE outbox SET due_at = now() + make_interval(secs => $3), last_error = $4
    WHERE outbox_id = $1 AND attempts = $2 AND state = 'open'"""


class Enrollment(msgspec.Struct, frozen=True):
    """An enrolment as it stands, and the change that decided it. `captured_at` is Unix ms."""

    enrollment_id: int
    org_id: str
    sequence: str
    recipient: str
    state: str
    generation: int
    variables: str
    rule: str | None
    rule_version: int | None
    object: str | None
    record_id: str | None
    capture_id: str | None
    captured_at: int | None


class Claim(msgspec.Struct, frozen=True):
    """One outbox row under a lease. `attempt` counts from 1."""

    outbox_id: int
    attempt: int
    generation: int
    idempotency_key: str
    created_at_s: float
    enrollment: Enrollment

    @property
    def is_superseded(self) -> bool:
        """Whether the enrolment has since become something that needs no telling."""
        return _needs_no_telling(self, self.enrollment.state, self.enrollment.generation)


async def claim(pool: Pool, *, limit: int, lease_s: float) -> list[Claim]:
    """Lease up to `limit` rows that are due, oldest first."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(CLAIM, limit, lease_s)
        if not rows:
            return []
        found = await connection.fetch(_READ_ENROLLMENTS, [row["enrollment_id"] for row in rows])
    enrollments = {row["enrollment_id"]: Enrollment(**dict(row)) for row in found}
    return [
        Claim(
            outbox_id=row["outbox_id"],
            attempt=row["attempts"],
            generation=row["generation"],
            idempotency_key=row["idempotency_key"],
            created_at_s=row["created_at_s"],
            enrollment=enrollments[row["enrollment_id"]],
        )
        for row in sorted(rows, key=lambda row: row["outbox_id"])
    ]


async def delivered(pool: Pool, done: Claim) -> None:
    """Settle a row that the target took; its enrolment is active."""
    async with pool.acquire() as connection, connection.transaction():
        await _settle(connection, done, "delivered", "active", None)


async def refused(pool: Pool, done: Claim, error: str) -> None:
    """Settle a row that the target will never take; its enrolment has failed."""
    async with pool.acquire() as connection, connection.transaction():
        await _settle(connection, done, "failed", "failed", error)


async def superseded(pool: Pool, done: Claim) -> None:
    """Settle a row that needs no telling any more; give it back if it does again meanwhile."""
    async with pool.acquire() as connection, connection.transaction():
        stands = await connection.fetchrow(_LOCK_ENROLLMENT, done.enrollment.enrollment_id)
        if stands is None or _needs_no_telling(done, stands["state"], stands["generation"]):
            await connection.execute(_SETTLE, done.outbox_id, done.attempt, "superseded", None)
        else:
            await connection.execute(_RETRY, done.outbox_id, done.attempt, 0.0, None)


async def retry_later(pool: Pool, held: Claim, *, delay_s: float, error: str) -> None:
    """Give the lease back; the row is due again in `delay_s`."""
    await pool.execute(_RETRY, held.outbox_id, held.attempt, delay_s, error)


def _needs_no_telling(claim: Claim, state: str, generation: int) -> bool:
    return state == "exited" or generation < claim.generation


async def _settle(
    connection: Connection, done: Claim, state: str, enrollment_state: str, error: str | None
) -> None:
    await connection.execute(_LOCK_ENROLLMENT, done.enrollment.enrollment_id)
    settled = await connection.execute(_SETTLE, done.outbox_id, done.attempt, state, error)
    if settled != "UPDATE 0":
        await connection.execute(
            _SETTLE_ENROLLMENT, done.enrollment.enrollment_id, done.generation, enrollment_state
        )
