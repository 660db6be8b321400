"""From a parent's change down to the records that look it up, whose rules are asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pipeline import metrics
from workers.enrollments import fire
from workers.history import read_history
from workers.lookups import reevaluation, turns
from workers.lookups.cases import Case, Cause
from workers.lookups.climbs import lowered
from workers.lookups.errors import blames_a_row, told
from workers.lookups.evaluation import evaluate
from workers.lookups.parents import decode_stored
from workers.lookups.references import referred
from workers.lookups.waits import keep_waits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection, Pool
    from workers.lookups.reevaluation import Reevaluation
    from workers.lookups.turns import Child, Turn
    from workers.rule_book import RuleBook

log = structlog.get_logger()


class Descent:
    """Serves the table `reevaluation`, a page of children at a time."""

    def __init__(self, pool: Pool, book: RuleBook, *, parent_wait_s: float) -> None:
        self._pool = pool
        self._book = book
        self._parent_wait_s = parent_wait_s

    async def see(self) -> bool:
        """Take note of rows that were committed since the last sweep; that is done at once."""
        async with self._pool.acquire() as connection:
            await turns.see(connection)
        return False

    async def page(self) -> bool:
        """Serve the rows whose turn it is; tell whether there were any."""
        claimed: list[Turn] = []
        try:
            await self._serve(claimed, None)
        except Exception as error:
            if not blames_a_row(error):
                raise
            for turn in claimed:
                await self._serve_alone(turn)
        return bool(claimed)

    async def _serve_alone(self, turn: Turn) -> None:
        """Serve one row, so that what fails in it is counted against it and no other."""
        try:
            await self._serve([], turn.reevaluation_id)
        except Exception as error:
            if not blames_a_row(error):
                raise
            async with self._pool.acquire() as connection, connection.transaction():
                for locked in await turns.claim(connection, turn.reevaluation_id):
                    failed = await turns.count_failure(connection, locked, told(error))
                    if failed is not None:
                        metrics.sweep_rows.labels("failed").inc()
                        log.exception(
                            "reevaluation_failed",
                            org_id=locked.row["org_id"],
                            cause_record_id=locked.row["record_id"],
                            record_id=failed,
                        )

    async def _serve(self, claimed: list[Turn], only: int | None) -> None:
        """Serve a page in one transaction; `claimed` tells of what, even if it fails."""
        async with self._pool.acquire() as connection, connection.transaction():
            claimed += await turns.claim(connection, only)
            if claimed or only is not None:
                await self._book.turn_to_newest(connection)
                await self._advance(connection, claimed)

    async def _advance(self, connection: Connection, claimed: Sequence[Turn]) -> None:
        changes = await read_history(connection, [turn.cause_key for turn in claimed])
        causes = {key: Cause.of(change) for key, change in changes.items()}
        children = await turns.read_children(connection, claimed)
        cases: list[Case] = []
        lower: list[Reevaluation] = []
        ended: list[Turn] = []
        moves: list[tuple[int, str, str]] = []
        for turn in claimed:
            cause = causes.get(turn.cause_key)
            if cause is None:
                await turns.set_aside(connection, turn, "the history no longer has the change")
                metrics.sweep_rows.labels("failed").inc()
                continue
            found = children[turn.reevaluation_id]
            wanted = self._rules(turn, cause)
            if not wanted:
                ended.append(turn)
                continue
            if not turn.row["is_traversed"]:
                # The rule is so new that no sweep has seen that references are missing.
                moves.append((turn.reevaluation_id, turn.row["cursor"], turn.row["stage"]))
                continue
            for child in found:
                if child.fields is not None and _refers(turn, child.fields):
                    if turn.depth == 1:
                        change = cause.update_of(turn.way.child, child.record_id, child.fields)
                        cases.append(Case(change, wanted, cause, turn.row["run_id"]))
                    else:
                        lower += self._below(turn, cause, child)
            if len(found) == turn.child_count:
                moves.append((turn.reevaluation_id, found[-1].record_id, turn.stage))
            elif turn.stage == "early":
                moves.append((turn.reevaluation_id, "", "waiting"))
            else:
                ended.append(turn)
        await turns.end(connection, ended)
        await turns.go_on(connection, moves)
        await reevaluation.insert(connection, lower)
        judged = await evaluate(connection, self._book, cases)
        await keep_waits(connection, judged, wait_s=self._parent_wait_s)
        await fire(connection, [fired for one in judged for fired in one.fired()])
        metrics.sweep_rows.labels("reevaluated").inc(len(cases))

    def _rules(self, turn: Turn, cause: Cause) -> frozenset[str]:
        """Return the rules, of those active now, that the change makes matter on the row's way."""
        rules = self._book.of(cause.change.org_id)
        if rules is None:
            return frozenset()
        moved = rules.climbs.moved(cause.change).get(turn.way, frozenset())
        only = turn.row["rules"]
        return moved if only is None else moved.intersection(only)

    def _below(self, turn: Turn, cause: Cause, child: Child) -> list[Reevaluation]:
        rules = self._book.of(cause.change.org_id)
        if rules is None:
            return []
        # What the row has waited for, the rows below it need not wait for again.
        return [
            row._replace(
                run_id=turn.row["run_id"],
                rules=None if turn.row["rules"] is None else " ".join(turn.row["rules"]),
                horizon=str(turn.row["horizon"]),
                seen_at=turn.row["seen_at"],
            )
            for row in reevaluation.below(
                cause.change, rules.climbs, turn.way, turn.depth - 1, child.record_id
            )
        ]


def _refers(turn: Turn, fields: bytes) -> bool:
    """Tell whether a record still refers to the row's parent."""
    reference = turn.way.references[turn.depth - 1]
    parent_id: str = turn.row["parent_id"]
    return referred(lowered(decode_stored(fields)).get(reference)) == parent_id
