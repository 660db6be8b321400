"""Rules that waited for a parent, asked again once it has arrived or the wait has expired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pipeline import metrics
from workers.enrollments import fire
from workers.lookups import waits
from workers.lookups.errors import blames_a_row, told
from workers.lookups.evaluation import evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Pool
    from workers.rule_book import RuleBook

log = structlog.get_logger()

ROWS_PER_PAGE: Final = 200
# Rows that one sweep looks at, round and round: however many wait, a look costs as much.
ROWS_PER_LOOK: Final = 20_000
MAX_ATTEMPTS: Final = 5


class Arrivals:
    """Serves the table `waiting`, a page at a time."""

    def __init__(self, pool: Pool, book: RuleBook) -> None:
        self._pool = pool
        self._book = book
        self._due: list[int] = []
        self._next_from = 0

    async def page(self) -> bool:
        """Judge a page of what is due; tell whether there was any."""
        if not self._due:
            async with self._pool.acquire() as connection:
                self._due, self._next_from = await waits.find_due(
                    connection, after=self._next_from, limit=ROWS_PER_LOOK
                )
        page, self._due = self._due[:ROWS_PER_PAGE], self._due[ROWS_PER_PAGE:]
        if page:
            await self._judge_apart(page)
        return bool(page)

    async def _judge_apart(self, waiting_ids: Sequence[int]) -> None:
        """Judge rows together or, where that fails, one by one: none keeps another waiting."""
        try:
            await self._judge(waiting_ids)
        except Exception as error:
            if not blames_a_row(error):
                raise
            if len(waiting_ids) > 1:
                for waiting_id in waiting_ids:
                    await self._judge_apart([waiting_id])
                return
            async with self._pool.acquire() as connection:
                row = await waits.fail(
                    connection, waiting_ids[0], told(error), max_attempts=MAX_ATTEMPTS
                )
            if row is not None and row["is_set_aside"]:
                metrics.sweep_rows.labels("failed").inc()
                log.exception(
                    "wait_failed",
                    org_id=row["org_id"],
                    record_id=row["record_id"],
                    rule=row["rule"],
                )

    async def _judge(self, waiting_ids: Sequence[int]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await waits.claim(connection, waiting_ids)
            if not rows:
                return
            await self._book.turn_to_newest(connection)
            cases = await waits.read_cases(connection, rows)
            answers = await evaluate(connection, self._book, cases.values())
            judged = {(one.case.change.key, one.case.run_id): one for one in answers}
            outcomes = await waits.settle(connection, rows, judged)
            await fire(connection, [fired for one in answers for fired in one.fired()])
        for outcome, count in outcomes.items():
            metrics.sweep_rows.labels(outcome).inc(count)
