"""How people stand to sequences today: enrolled, suppressed, opted out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from workers.relay.addresses import suppressible

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline.database import Connection

# One that nothing adds any more never was.
_ENROLLED: Final = """
    SELECT sequence, recipient, state
    FROM unnest($2::text[], $3::text[]) AS wanted (sequence, recipient)
    JOIN enrollment USING (sequence, recipient)
    WHERE enrollment.org_id = $1 AND generation > 0"""
_SUPPRESSED: Final = """
    SELECT DISTINCT recipient
    FROM unnest($2::text[], $3::text[]) AS may_be (recipient, value)
    JOIN suppression USING (value)
    WHERE suppression.org_id IN ('', $1)"""
_OPTED_OUT: Final = """
    SELECT DISTINCT address FROM opt_out
    WHERE org_id = $1 AND address = ANY($2::text[]) AND (opted_out OR bounced)"""


class Standings(NamedTuple):
    """How some people stand today. `states`: of enrolments, by (sequence, recipient)."""

    states: dict[tuple[str, str], str]
    suppressed: frozenset[str]
    opted_out: frozenset[str]


async def read_standings(
    connection: Connection, org_id: str, wanted: Collection[tuple[str, str]]
) -> Standings:
    """Read how people stand, in three statements; `wanted` holds (sequence, recipient)."""
    if not wanted:
        return Standings({}, frozenset(), frozenset())
    sequences, recipients = zip(*wanted, strict=True)
    enrolled = await connection.fetch(_ENROLLED, org_id, sequences, recipients)
    people = sorted(set(recipients))
    may_be = [(person, value) for person in people for value in suppressible(person)]
    listed = await connection.fetch(_SUPPRESSED, org_id, *map(list, zip(*may_be, strict=True)))
    refusing = await connection.fetch(_OPTED_OUT, org_id, people)
    return Standings(
        {(row["sequence"], row["recipient"]): row["state"] for row in enrolled},
        frozenset(row["recipient"] for row in listed),
        frozenset(row["address"] for row in refusing),
    )
