"""Stored changes sent through the rules again, page by page in the order of the history's key."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops.bulk_runs import BulkRun, Step
from pipeline.objects import SObject
from workers.history import read_history
from workers.rejudging import Rejudging

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection
    from workers.history import ChangeKey

_STEP_COUNT: Final = 300
# Records are large, or few are meant: a step is short all the same.
_STEP_BYTES: Final = 4 * 1024**2
_MAX_LOOKED_AT: Final = 5000

# A page of keys, and which of them are meant. What came too late to fill a gap is not: the rules
# saw the gap in its place. `captured_at` stands alone as well, to rule partitions out.
_LOOK: Final = """
    WITH page AS (
        SELECT captured_at, capture_id, record_id, org_id, object, sequence, persisted_at,
               coalesce(pg_column_size(old), 0) + coalesce(pg_column_size(new), 0) AS bytes_count
        FROM change
        WHERE captured_at >= $1 AND captured_at < $2
          AND (captured_at, capture_id, record_id, org_id) > ($1, $3, $4, $5)
        ORDER BY captured_at, capture_id, record_id, org_id LIMIT $6)
    SELECT captured_at, capture_id, record_id, org_id, bytes_count,
           object = ANY($7::text[]) AND ($8::text IS NULL OR org_id = $8)
           AND NOT EXISTS (
               SELECT FROM gap
               WHERE gap.org_id = page.org_id AND gap.record_id = page.record_id
                 AND gap.state = 'confirmed' AND gap.settled_at < page.persisted_at
                 AND gap.captured_at >= page.captured_at
                 AND (gap.captured_at, gap.sequence, gap.capture_id)
                   > (page.captured_at, page.sequence, page.capture_id)
                 AND (gap.stored_at, gap.stored_sequence, gap.stored_capture_id)
                   < (page.captured_at, page.sequence, page.capture_id)) AS is_meant
    FROM page ORDER BY captured_at, capture_id, record_id, org_id"""


class HistoryReplay(msgspec.Struct, frozen=True):
    """Which changes are replayed, by which rules: all that are active where `rules` is empty.

    From `since_ms` until before `until_ms`: when a change was captured, in Unix ms. `org_id` None
    stands for every org.
    """

    since_ms: int
    until_ms: int
    objects: list[SObject]
    org_id: str | None = None
    rules: list[str] = []


class _Page(NamedTuple):
    """The changes of a step, the last key that it deals with, and whether none comes after."""

    keys: list[ChangeKey]
    last: ChangeKey | None
    is_last: bool


class Progress(msgspec.Struct, frozen=True):
    """Where a run is: the last key, how much fired, and the first change that could not be judged.

    A key is (captured_at, capture, record, org).
    """

    at: tuple[int, str, str, str] | None = None
    fired_count: int = 0
    failure: str | None = None


class HistoryWork:
    """Does the steps of one run."""

    step_count = _STEP_COUNT

    def __init__(self, *, parent_wait_s: float) -> None:
        self._rejudging = Rejudging(parent_wait_s=parent_wait_s)
        self._looked_at = _STEP_COUNT

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        """Judge the next changes; a change that cannot be judged is counted, and harms no other."""
        chosen = msgspec.convert(run.parameters, HistoryReplay)
        cursor = progress_of(run)
        page = await self._look(connection, chosen, cursor, limit)
        changes = await read_history(connection, page.keys)
        judged = await self._rejudging.judge(
            connection,
            [changes[key] for key in page.keys if key in changes],
            run_id=run.id,
            only=frozenset(chosen.rules) or None,
        )
        failure = cursor.failure
        if failure is None and judged.failed:
            change, error = judged.failed[0]
            failure = f"change {change.capture_id}/{change.record_id}: {error}"
        after = Progress(page.last or cursor.at, cursor.fired_count + judged.fired_count, failure)
        failed_count = len(judged.failed)
        return Step(
            msgspec.to_builtins(after),
            done_count=len(page.keys) - failed_count,
            failed_count=failed_count,
            is_last=page.is_last,
        )

    async def _look(
        self, connection: Connection, chosen: HistoryReplay, cursor: Progress, limit: int
    ) -> _Page:
        # Ids are never empty: this is before the first key.
        first: ChangeKey = cursor.at or (chosen.since_ms, "", "", "")
        looked_at = max(limit, self._looked_at)
        rows = await connection.fetch(
            _LOOK,
            first[0],
            chosen.until_ms,
            *first[1:],
            looked_at,
            chosen.objects,
            chosen.org_id,
        )
        keys: list[ChangeKey] = []
        bytes_count = 0
        last: ChangeKey | None = None
        for row in rows:
            if len(keys) == limit or bytes_count > _STEP_BYTES:
                self._looked_at = limit
                return _Page(keys, last, is_last=False)
            last = (row["captured_at"], row["capture_id"], row["record_id"], row["org_id"])
            if row["is_meant"]:
                keys.append(last)
                bytes_count += row["bytes_count"]
        self._looked_at = limit if len(keys) == limit else min(2 * looked_at, _MAX_LOOKED_AT)
        return _Page(keys, last, is_last=len(rows) < looked_at)


@contextlib.asynccontextmanager
async def work(*, parent_wait_s: float) -> AsyncIterator[HistoryWork]:
    """Yield what replays the changes that a run's parameters name."""
    yield HistoryWork(parent_wait_s=parent_wait_s)


def progress_of(run: BulkRun) -> Progress:
    """Return where a run is."""
    return msgspec.convert(run.cursor, Progress)
