"""Listing dead letters, a page at a time, and counting them by reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.dead_letters.filter import DeadFilter, DeadState, Where, where
from ops.times import with_iso_times
from pipeline.errors import Reason

if TYPE_CHECKING:
    from pipeline.database import Connection

COLUMNS: Final = """dead_letter_id AS id, org_id, object, operation, record_id, capture_id, reason,
    error, state, attempts, callout_id, captured_at, received_at, first_dead_at, dead_at,
    settled_at, run_id"""


_NEAR_PAGE_COUNT: Final = 10


class DeadLetterRow(msgspec.Struct, frozen=True):
    """A change, or a whole message, that could not be processed, and why.

    `captured_at` and `received_at` are Unix ms, the others RFC 3339: `dead_at` is when it failed
    last, `settled_at` when it was replayed or discarded last, by `run_id`. What a message does not
    tell is None.
    """

    id: int
    org_id: str | None
    object: str
    operation: str | None
    record_id: str | None
    capture_id: str | None
    reason: Reason
    error: str
    state: DeadState
    attempts: int
    callout_id: str | None
    captured_at: int | None
    received_at: int | None
    first_dead_at: str
    dead_at: str
    settled_at: str | None
    run_id: int | None


class DeadGroup(msgspec.Struct, frozen=True):
    """The dead letters of one reason; times are RFC 3339. The sample is the oldest by id."""

    reason: Reason
    count: int
    oldest_at: str
    newest_at: str
    sample_id: int
    sample_error: str


async def listing(
    connection: Connection, chosen: DeadFilter, *, limit: int, after_id: int = 0
) -> list[DeadLetterRow]:
    """Return dead letters by id; `after_id` is the last one's of the page before.

    Raises:
        WrongUsage: nothing could ever match the filter.
    """
    page = where(chosen).also("dead_letter_id > {}", after_id)
    end = f"ORDER BY dead_letter_id LIMIT {limit:d}"
    if chosen.text is None:
        query = f"SELECT {COLUMNS} FROM dead_letter WHERE {page.condition} {end}"  # noqa: S608  ours
        rows = await connection.fetch(query, *page.arguments)
    else:
        # The text is the filter's last argument, so that the others keep their places without it.
        # A frequent word is found among the next letters, a rare one by the index of words: few
        # rows are read either way, and nobody has to know beforehand which it is.
        others = where(msgspec.structs.replace(chosen, text=None)).condition
        near = f"{others} AND dead_letter_id > ${len(page.arguments)} ORDER BY dead_letter_id"
        near = f"{near} LIMIT {_NEAR_PAGE_COUNT * limit:d}"
        rows = await connection.fetch(_found_in(near, page, end), *page.arguments)
        if len(rows) < limit:
            rows = await connection.fetch(_found_in(page.condition, page, end), *page.arguments)
    return [msgspec.convert(with_iso_times(row), DeadLetterRow) for row in rows]


def _found_in(condition: str, page: Where, end: str) -> str:
    return (
        "WITH found AS MATERIALIZED"  # noqa: S608  our own text
        f" (SELECT dead_letter_id FROM dead_letter WHERE {condition})"
        f" SELECT {COLUMNS} FROM dead_letter WHERE {page.condition}"
        f" AND dead_letter_id = ANY(ARRAY(SELECT dead_letter_id FROM found)) {end}"
    )


async def grouped(connection: Connection, chosen: DeadFilter) -> list[DeadGroup]:
    """Count dead letters by reason, the most frequent first.

    Raises:
        WrongUsage: nothing could ever match the filter.
    """
    wanted = where(chosen)
    rows = await connection.fetch(
        "WITH grouped AS MATERIALIZED (SELECT reason, count(*) AS count,"  # noqa: S608  our own
        " min(dead_at) AS oldest_at, max(dead_at) AS newest_at, min(dead_letter_id) AS sample_id"
        f" FROM dead_letter WHERE {wanted.condition} GROUP BY reason)"
        " SELECT grouped.*, error AS sample_error FROM grouped"
        " JOIN dead_letter ON dead_letter_id = sample_id ORDER BY count DESC, grouped.reason",
        *wanted.arguments,
    )
    return [msgspec.convert(with_iso_times(row), DeadGroup) for row in rows]
