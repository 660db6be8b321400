"""Setting dead letters aside for good: kept as discarded until retention clears them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ops.bulk_runs import BulkRun, Step
from ops.dead_letters.pages import Page, next_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection

_STEP_COUNT: Final = 500
_DISCARD: Final = """
    UPDATE dead_letter SET state = 'discarded', settled_at = clock_timestamp(), run_id = $2
    WHERE dead_letter_id = ANY($1::bigint[])"""


class _Discard:
    step_count = _STEP_COUNT

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        page: Page = await next_page(connection, run, limit, columns="dead_letter_id")
        await connection.execute(_DISCARD, page.ids, run.id)
        return Step(page.cursor, done_count=len(page.ids), is_last=page.is_last)


@contextlib.asynccontextmanager
async def work() -> AsyncIterator[_Discard]:
    """Yield what discards the letters that a run's parameters name."""
    yield _Discard()
