"""Shows rules the changes of a span, and counts what each would have done with them."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, NamedTuple

from ops.rule_trial.distinct import Room
from ops.rule_trial.parents import Parents
from ops.rule_trial.people import read_standings
from ops.rule_trial.tally import Tally
from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules import MAX_LOOKUPS, Moment, States
from rules.trial import names_with_old
from workers.field_reader import FieldReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from asyncpg import Record

    from ops.rule_trial.history import Span
    from pipeline.database import Connection
    from rules import Rule

# Between that many rows, what has arrived of the next page is taken from the network.
_SLICE_ROWS: Final = 25
_OBJECTS: Final = {sobject.value: sobject for sobject in SObject}
_OPERATIONS: Final = {operation.value: operation for operation in Operation}


class Ruling(NamedTuple):
    """What decides besides rules and records, as it stands today.

    `takes_opted_out`: the sequences that those get into who opted out.
    """

    sync_user_id: str
    zone: tzinfo
    takes_opted_out: frozenset[str]


class Bounds(NamedTuple):
    """How much a trial may read; it ends with the first page that goes beyond."""

    max_changes: int
    max_s: float


class _Shown(NamedTuple):
    """A change that a rule cannot judge before parents are looked up."""

    tally: Tally
    change: Change
    by_sync_user: bool
    received_at: int


class Run:
    """One trial, of which the public attributes are the outcome.

    `is_whole`: all was read. `oldest_ms` (Unix ms): when the oldest change read was captured.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        ruling: Ruling,
        *,
        sample_count: int,
        as_replay: bool = False,
    ) -> None:
        room = Room()
        self.tallies = [
            Tally(rule, room, sample_count=sample_count, as_replay=as_replay) for rule in rules
        ]
        self.change_count = self.unreadable_count = 0
        self.is_whole = True
        self.oldest_ms = sys.maxsize
        self._ruling = ruling
        self._by_trigger: dict[tuple[str, str], list[Tally]] = {}
        for tally in self.tallies:
            for operation in tally.rule.operations:
                trigger = (tally.rule.object.value, operation.value)
                self._by_trigger.setdefault(trigger, []).append(tally)
        self._readers = {
            sobject.value: _reader([one for one in self.tallies if one.rule.object is sobject])
            for sobject in {tally.rule.object for tally in self.tallies}
        }

    async def show(
        self,
        span: Span,
        reading: Connection,
        asking: Connection,
        *,
        bounds: Bounds | None = None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Show the rules a span; `progress` is told the number of changes read so far.

        With `bounds` the newest changes come first. Two connections make it read ahead.
        """
        parents = Parents(span.org_id, {p for one in self.tallies for p in one.compiled.paths})
        started = time.monotonic()
        pages = span.pages(
            reading, read_ahead=reading is not asking, newest_first=bounds is not None
        )
        async with aclosing(pages):
            async for rows in pages:
                await self._show_page(span.org_id, rows, asking, parents)
                progress(self.change_count)
                if bounds is not None and (
                    self.change_count >= bounds.max_changes
                    or time.monotonic() - started >= bounds.max_s
                ):
                    self.is_whole = False
                    break

    async def _show_page(
        self, org_id: str, rows: list[Record], asking: Connection, parents: Parents
    ) -> None:
        undecided: list[_Shown] = []
        wanted: set[str] = set()
        for start in range(0, len(rows), _SLICE_ROWS):
            for row in rows[start : start + _SLICE_ROWS]:
                self._show_row(org_id, row, parents, undecided, wanted)
            await asyncio.sleep(0)
        self.change_count += len(rows)
        if rows:
            self.oldest_ms = min(self.oldest_ms, rows[0]["captured_at"], rows[-1]["captured_at"])
        # Each round takes one step more up every path, as it is and as it was.
        for _ in range(2 * MAX_LOOKUPS):
            if not wanted:
                break
            await parents.look_up(asking, wanted)
            again, undecided, wanted = undecided, [], set()
            for shown in again:
                states = self._states(shown.change, parents)
                if unread := shown.tally.take(
                    shown.change,
                    states,
                    by_sync_user=shown.by_sync_user,
                    received_at=shown.received_at,
                ):
                    undecided.append(shown)
                    wanted |= unread
        parents.forget_many()
        standings = await read_standings(
            asking, org_id, {pair for tally in self.tallies for pair in tally.wanted()}
        )
        for tally in self.tallies:
            tally.settle(standings, self._ruling.takes_opted_out)

    def _show_row(
        self,
        org_id: str,
        row: Record,
        parents: Parents,
        undecided: list[_Shown],
        wanted: set[str],
    ) -> None:
        (
            captured_at,
            capture_id,
            record_id,
            sobject,
            operation,
            sequence,
            transaction_id,
            actor_id,
            received_at,
            old,
            new,
        ) = row
        tallies = self._by_trigger.get((sobject, operation))
        if tallies is None:
            return
        reader = self._readers[sobject]
        try:
            before, after = reader.read(old, new)
        except (ValueError, RecursionError):
            self.unreadable_count += 1
            return
        change = Change(
            org_id,
            _OBJECTS[sobject],
            _OPERATIONS[operation],
            record_id,
            capture_id,
            transaction_id,
            sequence,
            captured_at,
            actor_id,
            before,
            after,
        )
        by_sync_user = actor_id == self._ruling.sync_user_id
        states = self._states(change, parents)
        for tally in tallies:
            tally.change_count += 1
            if unread := tally.take(
                change, states, by_sync_user=by_sync_user, received_at=received_at
            ):
                undecided.append(_Shown(tally, change, by_sync_user, received_at))
                wanted |= unread

    def _states(self, change: Change, parents: Parents) -> States:
        return States(change, Moment(change.captured_at, self._ruling.zone), parents.known)


def _reader(tallies: Sequence[Tally]) -> FieldReader:
    """Return what reads all that the rules of one object read."""
    names = {name for tally in tallies for name in tally.compiled.fields}
    with_old = {name for tally in tallies for name in names_with_old(tally.rule)}
    return FieldReader(names, with_old)
