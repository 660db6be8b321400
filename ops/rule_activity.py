"""How often rules fired of late, and on what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.times import with_iso_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.database import Connection

# Beyond this a rule's firings of today are not counted one by one.
MOST_COUNTED: Final = 1_000

# Today is the org's own.
_TODAY: Final = """
    SELECT wanted.org_id, wanted.rule, fired.fired_count, newest.fired_at
    FROM unnest($1::text[], $2::text[]) AS wanted (org_id, rule)
    JOIN org USING (org_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS fired_count FROM (
            SELECT FROM firing
            WHERE firing.org_id = wanted.org_id AND firing.rule = wanted.rule
              AND fired_at >= date_trunc('day', now() AT TIME ZONE time_zone) AT TIME ZONE time_zone
            LIMIT $3) AS today) AS fired
    LEFT JOIN LATERAL (
        SELECT fired_at FROM firing
        WHERE firing.org_id = wanted.org_id AND firing.rule = wanted.rule
        ORDER BY fired_at DESC LIMIT 1) AS newest ON true"""
_NEWEST: Final = """
    SELECT firing_id, rule_version, object, record_id, cause_record_id, capture_id, captured_at,
           fired_at,
           ARRAY(SELECT enrollment_id FROM enrollment_event AS event
                 JOIN enrollment USING (org_id, sequence, recipient)
                 WHERE event.firing_id = firing.firing_id ORDER BY action LIMIT 10) AS enrollments
    FROM firing WHERE org_id = $1 AND rule = $2
    ORDER BY fired_at DESC, firing_id DESC LIMIT $3"""


class Activity(msgspec.Struct, frozen=True):
    """How often a rule fired today, up to `MOST_COUNTED`, and when last (RFC 3339)."""

    today_count: int
    is_more: bool
    fired_at: str | None


class Firing(msgspec.Struct, frozen=True):
    """One firing; `captured_at` is Unix ms, `fired_at` RFC 3339.

    `enrollments` are the ids of those that it had a part in, 10 at most.
    """

    firing_id: int
    rule_version: int
    object: str
    record_id: str
    cause_record_id: str | None
    capture_id: str
    captured_at: int
    fired_at: str
    enrollments: list[int]


async def today(
    connection: Connection, rules: Collection[tuple[str, str]]
) -> Mapping[tuple[str, str], Activity]:
    """Return what rules, as (org, rule), did today."""
    columns = [list(column) for column in zip(*rules, strict=True)] or [[], []]
    rows = await connection.fetch(_TODAY, *columns, MOST_COUNTED + 1)
    return {
        (row["org_id"], row["rule"]): Activity(
            today_count=min(row["fired_count"], MOST_COUNTED),
            is_more=row["fired_count"] > MOST_COUNTED,
            fired_at=with_iso_times(row)["fired_at"],
        )
        for row in rows
    }


async def newest(connection: Connection, org_id: str, rule: str, *, limit: int) -> list[Firing]:
    """Return a rule's newest firings, the newest first."""
    rows = await connection.fetch(_NEWEST, org_id, rule, limit)
    return [Firing(**with_iso_times(row)) for row in rows]
