"""Listing enrolments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from ops.times import with_iso_times

if TYPE_CHECKING:
    from pipeline.database import Connection

State: TypeAlias = Literal["pending", "active", "exited", "finished", "failed"]

# One that lost its only firing to an earlier change never was: it depends on the order of arrival.
_LIST: Final = """
    SELECT enrollment_id AS id, enrollment.org_id, enrollment.sequence, recipient, state, rule,
           rule_version, object, record_id, generation, enrolled_at
    FROM enrollment JOIN firing USING (firing_id)
    WHERE ($1::text IS NULL OR enrollment.org_id = $1)
      AND ($2::text IS NULL OR enrollment.sequence = $2)
    ORDER BY enrollment_id
    LIMIT $3"""


class EnrollmentRow(msgspec.Struct, frozen=True):
    """An enrolment and the firing that decided it; `enrolled_at` is RFC 3339."""

    id: int
    org_id: str
    sequence: str
    recipient: str
    state: State
    rule: str | None
    rule_version: int | None
    object: str | None
    record_id: str | None
    generation: int
    enrolled_at: str


async def listing(
    connection: Connection, *, org_id: str | None, sequence: str | None, limit: int
) -> list[EnrollmentRow]:
    """Return enrolments in the order in which they came to be."""
    rows = await connection.fetch(_LIST, org_id, sequence, limit)
    return [EnrollmentRow(**with_iso_times(row)) for row in rows]
