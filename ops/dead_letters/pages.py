"""A run's way through the dead letters of its filter: each is dealt with once, whoever locks it."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ops.dead_letters.filter import DeadFilter, where

if TYPE_CHECKING:
    from asyncpg import Record

    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection

_AFTER: Final = "dead_letter_id > {} AND dead_letter_id <= {}"
# What this run has replayed and what then failed again is not replayed in circles.
_NOT_OURS: Final = "run_id IS DISTINCT FROM {}"


class DeadRun(msgspec.Struct, frozen=True):
    """A run's parameters: the filter, and the newest letter that there was at its beginning."""

    filter: DeadFilter
    up_to_id: int


class Page(NamedTuple):
    """Some rows, locked until the end of the transaction, and where the next page begins."""

    rows: list[Record]
    cursor: dict[str, Any]
    is_last: bool

    @property
    def ids(self) -> list[int]:
        """The ids of the rows."""
        return [row["dead_letter_id"] for row in self.rows]

    def within(self, max_bytes: int) -> Page:
        """Return the page as far as its originals are no more bytes; one of them at least."""
        sizes = accumulate(len(row["original"]) for row in self.rows)
        fitting = sum(size <= max_bytes for size in sizes)
        if fitting == len(self.rows):
            return self
        rows = self.rows[: max(1, fitting)]
        return Page(rows, {"after_id": rows[-1]["dead_letter_id"]}, is_last=False)


async def next_page(connection: Connection, run: BulkRun, limit: int, columns: str) -> Page:
    """Return the run's next letters, by id, and lock them.

    A row that somebody else has locked (a worker counts a failure, another run replays it) is
    passed over and looked at again at the end, so that nobody waits with locks in their hands.
    """
    parameters = msgspec.convert(run.parameters, DeadRun)
    wanted = where(parameters.filter).also(_NOT_OURS, run.id)
    after = run.cursor.get("after_id", 0)
    page = wanted.also(_AFTER, after, parameters.up_to_id)
    rows = await connection.fetch(
        f"SELECT {columns} FROM dead_letter WHERE {page.condition}"  # noqa: S608  our own text
        f" ORDER BY dead_letter_id LIMIT {limit:d} FOR NO KEY UPDATE SKIP LOCKED",
        *page.arguments,
    )
    if rows:
        return Page(rows, {"after_id": rows[-1]["dead_letter_id"]}, is_last=False)
    left = wanted.also(_AFTER, 0, parameters.up_to_id)
    is_any_left = await connection.fetchval(
        f"SELECT EXISTS (SELECT FROM dead_letter WHERE {left.condition})",  # noqa: S608  our text
        *left.arguments,
    )
    return Page([], {"after_id": 0}, is_last=not is_any_left)
