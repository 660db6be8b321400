"""The rows of enrolments: locked in the order of their keys, then written as their folds say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workers.enrollments.fold import NOBODY, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Record

    from pipeline.database import Connection
    from workers.enrollments.fold import Folded
    from workers.enrollments.tell import EnrollmentKey

# Make the enrolments that there are not yet, and hold every row's lock, in the order of the keys.
# The update, which never happens, is what locks: a row that is only locked is not written anew.
_LOCK: Final = """
    INSERT INTO enrollment AS stored (org_id, sequence, recipient, state, generation, reason)
    SELECT *, 'exited', 0, $4 FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT (org_id, sequence, recipient) DO UPDATE SET state = excluded.state WHERE false"""

# Read them as committed, now that nobody else can write them.
_READ: Final = """
    SELECT enrollment_id, org_id, sequence, recipient, firing_id, generation, exited_generation,
           reason, folded_captured_at, folded_sequence, folded_capture_id
    FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (org_id, sequence, recipient)
    JOIN enrollment USING (org_id, sequence, recipient)"""

# Write what the folds say; without a firing the last that decided still does. Another generation,
# or one whose exit was taken back, stands as its own delivery does: an older change that comes
# late may take a generation back, a later one bring it again. One that stands as before keeps what
# the relay has made of it.
_WRITE: Final = """
    UPDATE enrollment AS stored
    SET state = CASE
            WHEN folded.generation <= folded.exited_generation THEN 'exited'
            WHEN stands_as_before THEN stored.state
            WHEN added.state = 'delivered' THEN 'active'
            WHEN added.state IN ('failed', 'suppressed') THEN 'failed'
            WHEN added.state = 'held' THEN 'held'
            ELSE 'pending'
        END,
        reason = CASE
            WHEN folded.generation <= folded.exited_generation THEN folded.reason
            WHEN stands_as_before AND stored.state IN ('failed', 'held') THEN stored.reason
            WHEN NOT stands_as_before AND added.state IN ('failed', 'suppressed', 'held')
                THEN added.last_error
            ELSE folded.reason
        END,
        generation = folded.generation, exited_generation = folded.exited_generation,
        firing_id = CASE WHEN folded.generation > 0
            THEN coalesce(folded.firing_id, stored.firing_id) END,
        variables = CASE WHEN folded.generation > 0
            THEN coalesce(event.variables, stored.variables) ELSE '{}' END,
        enrolled_at = CASE
            WHEN folded.generation <> stored.generation
              OR folded.firing_id <> stored.firing_id THEN clock_timestamp()
            ELSE stored.enrolled_at
        END,
        folded_captured_at = folded.captured_at, folded_sequence = folded.sequence,
        folded_capture_id = folded.capture_id
    FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::text[], $5::bigint[],
                $6::integer[], $7::bigint[], $8::integer[], $9::text[], $10::boolean[])
        AS folded (enrollment_id, generation, exited_generation, reason, firing_id, action,
                   captured_at, sequence, capture_id, stands_as_before)
    LEFT JOIN LATERAL (
        SELECT variables FROM enrollment_event
        WHERE firing_id = folded.firing_id AND action = folded.action LIMIT 1) AS event ON true
    LEFT JOIN LATERAL (
        SELECT state, last_error FROM outbox
        WHERE NOT stands_as_before AND kind = 'add'
          AND (enrollment_id, generation) = (folded.enrollment_id, folded.generation)
        LIMIT 1) AS added ON true
    WHERE stored.enrollment_id = folded.enrollment_id"""


class Kept(NamedTuple):
    """An enrolment's row, locked: how it stands, and the firing that decided."""

    enrollment_id: int
    key: EnrollmentKey
    standing: Standing
    firing_id: int | None


async def lock(connection: Connection, keys: Sequence[EnrollmentKey]) -> list[Kept]:
    """Make or find the enrolments of `keys` (in order, no key twice) and lock their rows."""
    columns = [list(column) for column in zip(*keys, strict=True)]
    await connection.execute(_LOCK, *columns, NOBODY)
    return [_kept(row) for row in await connection.fetch(_READ, *columns)]


def _kept(row: Record) -> Kept:
    folded = (row["folded_captured_at"], row["folded_sequence"], row["folded_capture_id"])
    return Kept(
        enrollment_id=row["enrollment_id"],
        key=(row["org_id"], row["sequence"], row["recipient"]),
        standing=Standing(
            row["generation"],
            row["exited_generation"],
            row["reason"],
            None if folded[0] is None else folded,
        ),
        firing_id=row["firing_id"],
    )


async def write(connection: Connection, folds: Sequence[tuple[Kept, Folded]]) -> None:
    """Write what folds say, after the outbox rows that they led to."""
    rows = [
        (
            kept.enrollment_id,
            *folded.standing[:3],
            folded.decided_by and folded.decided_by.firing_id,
            folded.decided_by and folded.decided_by.action,
            *(folded.standing.folded or (None, None, None)),
            kept.standing.is_enrolled and kept.standing.generation == folded.standing.generation,
        )
        for kept, folded in folds
    ]
    if rows:
        await connection.execute(_WRITE, *map(list, zip(*rows, strict=True)))
