"""Stored changes sent through the rules again: a new rule on old changes, or after a fix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import Kind, classify
from workers.enrollments import fire
from workers.lookups.cases import Case
from workers.lookups.evaluation import evaluate
from workers.lookups.reevaluation import keep_reevaluations
from workers.lookups.waits import keep_waits
from workers.narrowing import find_failing
from workers.rule_book import RuleBook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection
    from workers.received import ReceivedChange


class Rejudged(NamedTuple):
    """How many firings count that did not before, and what could not be judged, with the reason."""

    fired_count: int
    failed: list[tuple[ReceivedChange, Exception]]


class Rejudging:
    """Asks the rules about changes that the history holds, as if they arrived now.

    As in a worker, a rule fires once a transaction and record, waits for parents that are not
    synced (`parent_wait_s`), and is asked about the records that look up a changed one. But that a
    change is old is no reason to ignore it. Not to be shared by tasks.
    """

    def __init__(self, *, parent_wait_s: float) -> None:
        self._book = RuleBook()
        self._parent_wait_s = parent_wait_s

    async def judge(
        self,
        connection: Connection,
        changes: Sequence[ReceivedChange],
        *,
        run_id: int,
        only: frozenset[str] | None,
    ) -> Rejudged:
        """Judge changes within the open transaction, by the rules named in `only`, or by all.

        Raises:
            Exception: what `classify` calls transient; nothing of it stays.
        """
        await self._book.turn_to_newest(connection)
        cases = [Case(change, only, None, run_id) for change in changes]
        try:
            async with connection.transaction():
                return Rejudged(await self._judge(connection, cases), [])
        except Exception as error:
            if classify(error) is not Kind.PERMANENT:
                raise
        failing = await find_failing(connection, cases, self._judge)
        failed_keys = {case.change.key for case, _ in failing}
        rest = [case for case in cases if case.change.key not in failed_keys]
        fired_count = await self._judge(connection, rest)
        return Rejudged(fired_count, [(case.change, error) for case, error in failing])

    async def _judge(self, connection: Connection, cases: Sequence[Case]) -> int:
        judged = await evaluate(connection, self._book, cases)
        await keep_waits(connection, judged, wait_s=self._parent_wait_s)
        if self._book.has_climbs:
            await keep_reevaluations(connection, self._book, judged)
        return await fire(connection, [fired for one in judged for fired in one.fired()])
