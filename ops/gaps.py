"""Listing gaps: what records' changes show to be missing between them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.times import iso, with_iso_times
from pipeline import json_text

if TYPE_CHECKING:
    from pipeline.database import Connection
    from pipeline.objects import SObject

_LIST: Final = """
    SELECT gap_id AS id, org_id, object, record_id, state, fields::text, stored_at, captured_at,
           capture_id, suspected_at, CASE WHEN state = 'suspected' THEN due_at END AS due_at,
           settled_at, error,
           CASE WHEN state <> 'suspected' THEN NULL
                WHEN parked_count > 0 OR overflow_count > 0 THEN 'changes that the org has parked'
                WHEN beat_at < clock_timestamp() - interval '2 hours' THEN 'the org''s heartbeat'
           END AS waits_for
    FROM gap LEFT JOIN heartbeat USING (org_id)
    WHERE ($1::text IS NULL OR org_id = $1) AND ($2::text IS NULL OR object = $2)
      AND ($3::text IS NULL OR state = $3)
    ORDER BY gap_id DESC LIMIT $4"""


class GapState(StrEnum):
    """What is known of a gap. A failed one could not be judged, and its `error` says why."""

    SUSPECTED = "suspected"
    FILLED = "filled"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class GapField(msgspec.Struct, frozen=True):
    """A field that differs: what was stored, and what the next change says it was."""

    stored: Any
    told: Any


class GapRow(msgspec.Struct, frozen=True):
    """A gap. Times are RFC 3339.

    What is missing happened after `stored_at`, when the stored state was captured, and before
    `captured_at`, when the change of `capture_id` was. `due_at`: when a suspected one is looked at;
    `waits_for` says what it is not settled before.
    """

    id: int
    org_id: str
    object: str
    record_id: str
    state: str
    fields: dict[str, GapField]
    stored_at: str
    captured_at: str
    capture_id: str
    suspected_at: str
    due_at: str | None
    settled_at: str | None
    error: str | None
    waits_for: str | None


async def listing(
    connection: Connection,
    *,
    org_id: str | None,
    sobject: SObject | None,
    state: GapState | None,
    limit: int,
) -> list[GapRow]:
    """Return gaps, the newest first."""
    rows = await connection.fetch(_LIST, org_id, sobject, state, limit)
    return [
        GapRow(
            **{
                **with_iso_times(row),
                "fields": _fields(row["fields"]),
                "stored_at": iso(row["stored_at"]),
                "captured_at": iso(row["captured_at"]),
            }
        )
        for row in rows
    ]


def _fields(text: str) -> dict[str, GapField]:
    values: Any = json_text.decode_fields(text.encode())
    return {name: GapField(stored, told) for name, (stored, told) in sorted(values.items())}
