"""Listing and showing dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Raw

from ops.errors import OpsError
from ops.times import with_iso_times

if TYPE_CHECKING:
    from pipeline.database import Connection

_LIST: Final = """
    SELECT dead_letter_id AS id, org_id, object, operation, record_id, capture_id, reason, error,
           attempts, callout_id, captured_at, received_at, dead_at
    FROM dead_letter
    WHERE ($1::text IS NULL OR org_id = $1) AND ($2::text IS NULL OR reason = $2)
    ORDER BY dead_letter_id LIMIT $3"""
_SHOW: Final = """
    SELECT dead_letter_id AS id, org_id, object, operation, record_id, capture_id, reason, error,
           attempts, callout_id, captured_at, received_at, dead_at, original
    FROM dead_letter WHERE dead_letter_id = $1"""


class DeadLetterRow(msgspec.Struct, frozen=True):
    """A change that can never succeed, and why.

    `captured_at` and `received_at` are Unix ms, `dead_at` is RFC 3339.
    """

    id: int
    org_id: str
    object: str
    operation: str
    record_id: str
    capture_id: str
    reason: str
    error: str
    attempts: int
    callout_id: str
    captured_at: int
    received_at: int
    dead_at: str


class DeadLetterWhole(DeadLetterRow, frozen=True):
    """A dead letter with the callout of its one change, as Apex wrote it."""

    original: Raw


async def listing(
    connection: Connection, *, org_id: str | None, reason: str | None, limit: int
) -> list[DeadLetterRow]:
    """Return dead letters, oldest first."""
    rows = await connection.fetch(_LIST, org_id, reason, limit)
    return [DeadLetterRow(**with_iso_times(row)) for row in rows]


async def show(connection: Connection, dead_letter_id: int) -> DeadLetterWhole:
    """Return one dead letter, whole.

    Raises:
        OpsError: there is none of that id.
    """
    row = await connection.fetchrow(_SHOW, dead_letter_id)
    if row is None:
        raise OpsError(f"there is no dead letter {dead_letter_id}: `penstock dead list`")
    return DeadLetterWhole(**{**with_iso_times(row), "original": Raw(row["original"])})
