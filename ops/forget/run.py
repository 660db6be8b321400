"""The steps of forgetting somebody: what could bring the person back first, what came of it after.

Between the two every transaction comes to its end that may have seen the first.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from ops.bulk_runs import BulkRun, RunKind, RunState, Step
from ops.forget import enrollments, letters, lists, people
from ops.forget.letters import Wanted
from ops.forget.places import BY_INDEX, DELETIONS, MENTIONS, replacing
from ops.forget.plan import bury

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection

_STEP_COUNT: Final = 500
_SCAN_COUNT: Final = 2000
_HORIZON: Final = "SELECT pg_current_xact_id()::text"
_IS_PAST: Final = "SELECT $1::text::xid8 <= pg_snapshot_xmin(pg_current_snapshot())"
_READ_ADDRESSES: Final = "SELECT addresses FROM forgetting WHERE run_id = $1"
_READ_RECORDS: Final = """
    SELECT mark FROM tombstone WHERE run_id = $1 AND mark NOT LIKE 'address:%' ORDER BY mark"""
# The values that made a condition true: of the person's firings all, of others those that a lookup
# found in the person's records.
_BLANK_FIRINGS: Final = """
    WITH page AS (
        SELECT firing_id FROM firing WHERE firing_id > $2 ORDER BY firing_id LIMIT $3),
    own AS (
        UPDATE firing AS one
        SET evidence = CASE WHEN one.record_id = ANY($4::text[]) THEN '[]' ELSE (
            SELECT jsonb_agg(CASE WHEN part ->> 'parent_id' = ANY($4::text[])
                                  THEN part || '{"old": null, "new": null}' ELSE part END)
            FROM jsonb_array_elements(one.evidence) AS part) END
        FROM page
        WHERE one.firing_id = page.firing_id AND one.org_id = $1 AND one.evidence <> '[]'
          AND (one.record_id = ANY($4::text[]) OR EXISTS (
                SELECT FROM jsonb_array_elements(one.evidence) AS part
                WHERE part ->> 'parent_id' = ANY($4::text[])))
        RETURNING 1)
    SELECT count(*) AS looked_at_count, max(firing_id) AS last_id,
           (SELECT count(*) FROM own) AS hit_count FROM page"""
_DELETE_CALLS: Final = """
    WITH page AS (
        SELECT outbox_id FROM outbox WHERE outbox_id > $2 ORDER BY outbox_id LIMIT $3),
    own AS (
        DELETE FROM outbox AS one USING page
        WHERE one.outbox_id = page.outbox_id AND one.org_id = $1 AND one.kind = 'call'
          AND one.recipient = ANY($4::text[])
        RETURNING 1)
    SELECT count(*) AS looked_at_count, max(outbox_id) AS last_id,
           (SELECT count(*) FROM own) AS hit_count FROM page"""


class Phase(StrEnum):
    """What a run is at, in this order."""

    NAMED = "named"
    HISTORY = "history"
    RECORDS = "records"
    FOUND = "found"
    DELETE = "delete"
    LISTS = "lists"
    DELETED = "deleted"
    ENROLLMENTS = "enrollments"
    TOLD = "told"
    REMOVE = "remove"
    FIRINGS = "firings"
    CALLS = "calls"
    LETTERS = "letters"
    MENTIONS = "mentions"


_PHASES: Final = tuple(Phase)
_BEFORE: Final = "waits for transactions that began before it"
_WAITS_FOR: Final = {
    Phase.NAMED: _BEFORE,
    Phase.FOUND: _BEFORE,
    Phase.DELETED: _BEFORE,
    Phase.TOLD: "waits for the relay to tell targets of the exits",
}


class At(msgspec.Struct, frozen=True):
    """Where a run is: `after` is the key of the last row, `table` counts those of the phase.

    `horizon` is the transaction that all before it are waited for. `ended` are the enrolments that
    have yet to go.
    """

    phase: Phase = Phase.NAMED
    table: int = 0
    after: list[int | str] = []
    horizon: str | None = None
    ended: list[int] = []

    def next(self) -> At:
        """Return the beginning of the next phase; of the last, itself."""
        place = min(_PHASES.index(self.phase) + 1, len(_PHASES) - 1)
        return At(_PHASES[place], ended=self.ended)

    def on(self, after: list[int | str] | None) -> At:
        """Return the place behind a row of the same phase; None: of the next phase."""
        return self.next() if after is None else msgspec.structs.replace(self, after=after)


class Chosen(msgspec.Struct, frozen=True):
    """A run's parameters."""

    org_id: str
    record_ids: list[str]
    is_blocked: bool
    tells: bool


def told_of_wait(run: BulkRun) -> str | None:
    """Say what a run that forgets somebody waits for, if it waits."""
    if run.kind is not RunKind.FORGET or run.state is not RunState.RUNNING:
        return None
    return _WAITS_FOR.get(msgspec.convert(run.cursor, At).phase)


class _Forget:
    step_count = _STEP_COUNT

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        """Do a page of the phase that the run is at."""
        await connection.execute(BY_INDEX)
        addresses = await connection.fetchval(_READ_ADDRESSES, run.id)
        rows = await connection.fetch(_READ_RECORDS, run.id)
        whole = _Whole(connection, run, addresses or [], [row["mark"] for row in rows], limit)
        at = msgspec.convert(run.cursor, At)
        after, done_count = await whole.page(at)
        is_last = after is None
        return Step(msgspec.to_builtins(after or at), done_count=done_count, is_last=is_last)


class _Whole:
    """One step, with all that it goes by."""

    def __init__(
        self,
        connection: Connection,
        run: BulkRun,
        addresses: list[str],
        record_ids: list[str],
        limit: int,
    ) -> None:
        self._connection = connection
        self._run_id = run.id
        self._chosen = msgspec.convert(run.parameters, Chosen)
        self._org_id = self._chosen.org_id
        self._addresses = addresses
        self._record_ids = record_ids
        self._theirs = people.Theirs(self._org_id, addresses, record_ids)
        self._limit = limit

    async def page(self, at: At) -> tuple[At | None, int]:  # noqa: C901, PLR0911, PLR0912  phases
        """Do a page; return where the next one is, None at the end, and how many rows it was."""
        connection, org_id = self._connection, self._org_id
        match at.phase:
            case Phase.NAMED | Phase.FOUND | Phase.DELETED:
                return await self._wait(at), 0
            case Phase.HISTORY:
                if not self._addresses:
                    return at.next(), 0
                found = await people.in_history(connection, org_id, self._addresses, at.after)
                return at.on(await self._bury(found)), 0
            case Phase.RECORDS:
                found = await people.among_records(
                    connection, org_id, self._addresses, self._record_ids, at.after
                )
                return at.on(await self._bury(found)), 0
            case Phase.DELETE:
                return await self._delete(at)
            case Phase.LISTS:
                is_blocked = self._chosen.is_blocked
                await lists.hash_addresses(connection, self._theirs, is_blocked=is_blocked)
                return at.next(), 0
            case Phase.ENROLLMENTS:
                ids = await enrollments.end_some(
                    connection, self._theirs, tells=self._chosen.tells, limit=self._limit
                )
                on = msgspec.structs.replace(at, ended=[*at.ended, *ids])
                return (on if ids else on.next()), 0
            case Phase.TOLD:
                untold_count = await enrollments.count_untold(connection, at.ended)
                return (at if untold_count and self._chosen.tells else at.next()), 0
            case Phase.REMOVE:
                await enrollments.remove(connection, at.ended)
                await enrollments.blank_others(connection, self._theirs)
                done_count = len(at.ended)
                return msgspec.structs.replace(at, ended=[]).next(), done_count
            case Phase.FIRINGS:
                return await self._scan(_BLANK_FIRINGS, at)
            case Phase.CALLS:
                return await self._scan(_DELETE_CALLS, at)
            case Phase.LETTERS:
                wanted = Wanted(frozenset(self._record_ids), frozenset(self._addresses))
                after_id = int(at.after[0]) if at.after else 0
                last_id, count = await letters.clear_page(connection, org_id, wanted, after_id)
                return at.on(None if last_id is None else [last_id]), count
            case Phase.MENTIONS:
                return await self._replace(at)
            case unknown:
                assert_never(unknown)

    async def _wait(self, at: At) -> At:
        """Wait for the end of every transaction that may not know what was written before."""
        if at.horizon is None:
            horizon = await self._connection.fetchval(_HORIZON)
            return msgspec.structs.replace(at, horizon=horizon)
        is_past = await self._connection.fetchval(_IS_PAST, at.horizon)
        return at.next() if is_past else at

    async def _bury(self, found: people.Found) -> list[int | str] | None:
        await bury(self._connection, self._org_id, found.record_ids, self._run_id)
        return found.after

    async def _delete(self, at: At) -> tuple[At, int]:
        statement = tuple(DELETIONS.values())[at.table]
        told = await self._connection.execute(
            statement, self._org_id, self._record_ids, self._limit
        )
        count = int(told.rpartition(" ")[2])
        if count == self._limit:
            return at, count
        if at.table + 1 == len(DELETIONS):
            return at.next(), count
        return msgspec.structs.replace(at, table=at.table + 1), count

    async def _scan(self, statement: str, at: At) -> tuple[At, int]:
        after_id = int(at.after[0]) if at.after else 0
        row = await self._connection.fetchrow(
            statement, self._org_id, after_id, _SCAN_COUNT, self._record_ids
        )
        if row is None or row["looked_at_count"] < _SCAN_COUNT:
            return at.next(), row["hit_count"] if row else 0
        return at.on([row["last_id"]]), row["hit_count"]

    async def _replace(self, at: At) -> tuple[At | None, int]:
        """Replace addresses in a page of one table after the other."""
        if not self._addresses:
            return None, 0
        place = MENTIONS[at.table]
        first = [0 if kind in ("bigint", "integer") else "" for kind in place.key.values()]
        row = await self._connection.fetchrow(
            replacing(place),
            self._org_id,
            _SCAN_COUNT,
            people.likes(self._addresses),
            people.pattern(self._addresses),
            *(at.after or first),
        )
        count = row["hit_count"] if row else 0
        if row is not None and row["looked_at_count"] == _SCAN_COUNT:
            return at.on([row[name] for name in place.key]), count
        if at.table + 1 == len(MENTIONS):
            return None, count
        return msgspec.structs.replace(at, table=at.table + 1, after=[]), count


@contextlib.asynccontextmanager
async def work() -> AsyncIterator[_Forget]:
    """Yield what forgets the person whom a run is for."""
    yield _Forget()
