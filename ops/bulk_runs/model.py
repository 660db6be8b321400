"""What a bulk run is, and what each kind of it has to be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from pipeline.database import Connection


class RunKind(StrEnum):
    """What a run does to each of its things."""

    DEAD_REPLAY = "dead_replay"
    DEAD_DISCARD = "dead_discard"
    HISTORY_REPLAY = "history_replay"
    CALLOUT_REPLAY = "callout_replay"
    FORGET = "forget"


class RunState(StrEnum):
    """Where a run is. What is paused or failed can be resumed; what is cancelled is left so."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"
    FAILED = "failed"


OPEN: Final = frozenset({RunState.RUNNING, RunState.PAUSED, RunState.FAILED})


class BulkRun(msgspec.Struct, frozen=True):
    """One run; times are RFC 3339.

    `total_count` is what the plan found, None when nobody could tell. `driven_by` is the process
    that drives it now: None of a `running` one means that its driver died. `error` is why it
    failed.
    """

    id: int
    kind: RunKind
    state: RunState
    created_by: str
    created_at: str
    parameters: dict[str, Any]
    cursor: dict[str, Any]
    total_count: int | None
    done_count: int
    skipped_count: int
    failed_count: int
    rate_per_s: int
    driven_by: str | None
    error: str | None
    settled_at: str | None

    @property
    def handled_count(self) -> int:
        """How many things it has dealt with, in whatever way."""
        return self.done_count + self.skipped_count + self.failed_count


class Step(msgspec.Struct, frozen=True):
    """What one step did, and where the next one goes on."""

    cursor: Mapping[str, Any]
    done_count: int = 0
    skipped_count: int = 0
    failed_count: int = 0
    is_last: bool = False


class Work(Protocol):
    """What a kind of run does, a step at a time."""

    @property
    def step_count(self) -> int:
        """The most things that one step may deal with: its transaction is to be short."""

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        """Deal with at most `limit` things from `run.cursor` on, in the transaction that is open.

        Its database work commits together with the progress that it returns, or not at all; what
        it publishes before that commit is published again after a crash.

        Raises:
            Exception: a `TransientError`, or an error of the database that `classify` calls
                transient: the step is tried again. Anything else, and a statement that is refused
                as such, fails the run, which keeps its place and can be resumed.
        """
