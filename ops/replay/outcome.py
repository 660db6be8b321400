"""What a replay of stored changes has come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.replay.history import progress_of

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection

_FIRED: Final = """
    SELECT org_id, rule, count(*) AS fired FROM firing WHERE run_id = $1
    GROUP BY org_id, rule ORDER BY org_id, rule"""
_ENROLLED: Final = """
    SELECT enrollment.org_id, enrollment.sequence, enrollment.state, count(*) AS count
    FROM firing JOIN enrollment_event AS event USING (firing_id)
    JOIN enrollment ON (enrollment.org_id, enrollment.sequence, enrollment.recipient)
                     = (event.org_id, event.sequence, event.recipient)
                   AND enrollment.firing_id = firing.firing_id
    WHERE firing.run_id = $1
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""


class RuleFired(msgspec.Struct, frozen=True):
    """How often a rule fired that had not before."""

    org_id: str
    rule: str
    fired: int


class Enrolled(msgspec.Struct, frozen=True):
    """How many enrolments of a sequence stand in a state, decided by firings of the run."""

    org_id: str
    sequence: str
    state: str
    count: int


class HistoryOutcome(msgspec.Struct, frozen=True):
    """What came of a run so far.

    `fired_count` is of the changes themselves; `rules` count also what followed later: waits for
    parents, and records that look up a changed one. `failure`: the first change that could not be
    judged, and why.
    """

    fired_count: int
    rules: list[RuleFired]
    enrollments: list[Enrolled]
    failure: str | None


async def outcome(connection: Connection, run: BulkRun) -> HistoryOutcome:
    """Return what a run of the kind `history_replay` has come to so far."""
    progress = progress_of(run)
    return HistoryOutcome(
        fired_count=progress.fired_count,
        rules=[RuleFired(*row) for row in await connection.fetch(_FIRED, run.id)],
        enrollments=[Enrolled(*row) for row in await connection.fetch(_ENROLLED, run.id)],
        failure=progress.failure,
    )
