"""By which run something came a second time, whose it was, and when it began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.times import iso

if TYPE_CHECKING:
    from pipeline.database import Connection

_READ: Final = "SELECT kind, created_by, created_at FROM bulk_run WHERE run_id = $1"


class Replayed(msgspec.Struct, frozen=True):
    """A run that replayed; `at` (RFC 3339) is when it began.

    What else is known of it than its number is None where the database was restored to before it.
    """

    run_id: int
    kind: str | None
    by: str | None
    at: str | None


async def replayed_by(connection: Connection, run_id: int | None) -> Replayed | None:
    """Return the run of a number; None if there was none."""
    if run_id is None:
        return None
    row = await connection.fetchrow(_READ, run_id)
    if row is None:
        return Replayed(run_id, None, None, None)
    return Replayed(run_id, row["kind"], row["created_by"], iso(row["created_at"]))
