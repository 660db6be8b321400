"""The history in pages, read ahead: the next page is on its way while one is looked at."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from asyncpg import Record

    from pipeline.database import Connection
    from pipeline.objects import Operation, SObject

# Pages are as long as memory allows: records of 3 kB make 2,000 rows, the largest ones a few.
_FIRST_PAGE_ROWS: Final = 200
_MAX_PAGE_ROWS: Final = 2_000
_MAX_PAGE_BYTES: Final = 12 * 1024 * 1024
# Places in the history's key.
_KEY_COLUMNS: Final = 3

# The records as bytes: text would be decoded twice. `captured_at` stands alone as well, since
# partitions are not ruled out by a comparison of rows.
_READ: Final = """
    SELECT captured_at, capture_id, record_id, object, operation, sequence, transaction_id,
           actor_id, received_at, convert_to(old, 'UTF8') AS old, convert_to(new, 'UTF8') AS new
    FROM change
    WHERE org_id = $1 AND object = ANY($2::text[]) AND operation = ANY($3::text[])
      AND captured_at >= $4 AND captured_at < $5"""
_OLDEST_FIRST: Final = (
    _READ
    + """
      AND (captured_at, capture_id, record_id, org_id) > ($6, $7, $8, $1)
    ORDER BY captured_at, capture_id, record_id, org_id LIMIT $9"""
)
_NEWEST_FIRST: Final = (
    _READ
    + """
      AND (captured_at, capture_id, record_id, org_id) < ($6, $7, $8, $1)
    ORDER BY captured_at DESC, capture_id DESC, record_id DESC, org_id DESC LIMIT $9"""
)
_ESTIMATE: Final = f"EXPLAIN (FORMAT JSON) {_READ}"


class Span(NamedTuple):
    """The changes of an org that a trial is about; `until_ms` (Unix ms) is not in it."""

    org_id: str
    objects: frozenset[SObject]
    operations: frozenset[Operation]
    since_ms: int
    until_ms: int

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return (
            self.org_id,
            sorted(self.objects),
            sorted(self.operations),
            self.since_ms,
            self.until_ms,
        )

    async def estimate(self, connection: Connection) -> int:
        """Return about how many changes there are, as the planner believes."""
        plan = msgspec.json.decode(await connection.fetchval(_ESTIMATE, *self._arguments))
        return int(plan[0]["Plan"]["Plan Rows"])

    async def pages(
        self, connection: Connection, *, read_ahead: bool, newest_first: bool = False
    ) -> AsyncGenerator[list[Record], None]:
        """Yield the changes in the order of the history's key, or in the opposite one.

        With `read_ahead` the connection is busy between pages. To be closed (`aclosing`).
        """
        statement = _NEWEST_FIRST if newest_first else _OLDEST_FIRST
        # Before the first key, or after the last one: ids are never empty.
        after: tuple[Any, ...] = (self.until_ms if newest_first else self.since_ms, "", "")
        rows = await connection.fetch(statement, *self._arguments, *after, _FIRST_PAGE_ROWS)
        asked = _FIRST_PAGE_ROWS
        while len(rows) == asked:
            after, asked = tuple(rows[-1])[:_KEY_COLUMNS], _next_size(rows)
            arguments = (statement, *self._arguments, *after, asked)
            if read_ahead:
                async with _under_way(connection, *arguments) as reading:
                    yield rows
                    rows = await reading
            else:
                yield rows
                rows = await connection.fetch(*arguments)
        yield rows


@contextlib.asynccontextmanager
async def _under_way(
    connection: Connection, statement: str, *arguments: object
) -> AsyncIterator[asyncio.Task[list[Record]]]:
    """Begin to fetch; whoever leaves before it has ended leaves no query behind."""
    reading = asyncio.create_task(connection.fetch(statement, *arguments))
    try:
        yield reading
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading})


def _next_size(rows: list[Record]) -> int:
    bytes_count = sum(len(row["old"] or b"") + len(row["new"] or b"") for row in rows)
    return max(1, min(_MAX_PAGE_ROWS, _MAX_PAGE_BYTES * len(rows) // max(bytes_count, 1)))
