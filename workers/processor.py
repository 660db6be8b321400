"""One transaction for a batch of changes: dedupe, persist, evaluate, enrol, keep what is dead."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import metrics
from pipeline.database import window
from pipeline.errors import Kind, PermanentError, Reason, classify
from workers import dead_letters, tries
from workers.continuity.gaps import Continuity
from workers.dead_letters import DeadLetter, Streak
from workers.enrollments import fire
from workers.forgotten import Forgotten, ForgottenMeanwhile
from workers.healing.progress import keep_progress
from workers.healing.snapshots import find_current, keep_absences
from workers.history import insert_history
from workers.lookups.cases import Case
from workers.lookups.evaluation import evaluate
from workers.lookups.reevaluation import keep_reevaluations
from workers.lookups.references import keep_references
from workers.lookups.waits import keep_waits
from workers.narrowing import find_failing
from workers.opt_outs import keep_opt_outs
from workers.received import now_ms
from workers.record_ends import keep_ends
from workers.redeliveries import keep_redeliveries
from workers.rule_book import RuleBook
from workers.stages import Stage, Stopwatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pipeline.database import Connection, Pool
    from workers.forgotten import Sifted
    from workers.history import ChangeKey
    from workers.received import ReceivedChange

_MAX_TRIES: Final = 3


class Outcome(NamedTuple):
    """What became of a batch: those known already count as committed."""

    committed_count: int
    dead_count: int
    forgotten_count: int = 0


class _Part(NamedTuple):
    """What of some changes was not committed; the forgotten ones by their keys."""

    dead: list[DeadLetter]
    forgotten: frozenset[ChangeKey]


class Processor:
    """Commits batches of changes.

    `parent_wait_s`: how long a rule waits for a record that it looks up. `gap_confirm_s`: how long
    a gap in a record's changes may be filled.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        retention_days: int,
        parent_wait_s: float = 600.0,
        gap_confirm_s: float = 86_400.0,
    ) -> None:
        self._pool = pool
        self._retention_days = retention_days
        self._parent_wait_s = parent_wait_s
        self._rule_book = RuleBook()
        self._continuity = Continuity(confirm_s=gap_confirm_s)
        self._forgotten = Forgotten()
        self._streak = Streak()
        # Marks of this process that stand: of the suspects under way, and of the few that went back
        # to their queue while the database was too far away to take the mark back.
        self._marked: dict[tuple[int, str, str, str], int] = {}

    async def process(self, changes: Iterable[ReceivedChange]) -> Outcome:
        """Commit a batch, in one transaction that holds its dead letters too.

        Once this has returned, each change has had its effects exactly once.

        Raises:
            TooManyDeadLetters: nothing was committed and consuming has to stop.
            Exception: nothing was committed; what `classify` calls transient is to be tried again.
        """
        batch = _distinct(changes)
        # Rows that are there are locked by what is absent, and written by the others: in one
        # transaction the locks of both would be out of order.
        absent = [one for one in batch if one.is_absent]
        parts = (batch,) if not absent else ([one for one in batch if not one.is_absent], absent)
        done = [await self._commit_or_narrow(part) for part in parts]
        dead = [letter for part in done for letter in part.dead]
        forgotten = frozenset().union(*(part.forgotten for part in done))
        _count(batch, dead, forgotten)
        kept_count = len(batch) - len(dead) - len(forgotten)
        return Outcome(kept_count, len(dead), len(forgotten))

    async def _commit_or_narrow(self, batch: Sequence[ReceivedChange]) -> _Part:
        try:
            part = await self._commit(batch, narrowing=False)
        except ForgottenMeanwhile:
            return await self._commit_or_narrow(batch)
        except Exception as error:
            if classify(error) is not Kind.PERMANENT:
                raise
            # A batch with a bad change costs a second transaction, with savepoints; others none.
            part = await self._commit(batch, narrowing=True)
        self._streak.count(part.dead, change_count=len(batch))
        return part

    async def process_suspect(self, change: ReceivedChange) -> Outcome:
        """Commit one change that may crash this process, after a mark that outlives the crash.

        Raises:
            Exception: as `process`.
        """
        # A try that this very process survived, such as an outage, is no crash: one mark at a time.
        if change.key not in self._marked:
            async with self._pool.acquire() as connection:
                self._marked[change.key] = await tries.mark(connection, change)
        if self._marked[change.key] <= _MAX_TRIES:
            try:
                outcome = await self.process([change])
            except Exception:
                # Another worker may try next: for it, too, this was no crash. If the mark cannot
                # be taken back now, it stays ours and is not made twice.
                async with self._pool.acquire() as connection:
                    await tries.take_back(connection, change)
                del self._marked[change.key]
                raise
            async with self._pool.acquire() as connection:
                await tries.clear(connection, change)
            del self._marked[change.key]
            return outcome
        error = PermanentError(Reason.CRASHED_WORKER, f"{_MAX_TRIES} workers died on this change")
        async with self._pool.acquire() as connection, connection.transaction():
            is_forgotten = bool(await self._forgotten.now_among(connection, [change]))
            if not is_forgotten:
                await dead_letters.insert(connection, [DeadLetter.of(change, error)])
            await tries.clear(connection, change)
        del self._marked[change.key]
        if is_forgotten:
            metrics.changes_forgotten.labels(change.object).inc()
            return Outcome(0, 0, 1)
        metrics.dead_letters.labels(change.object, error.reason).inc()
        return Outcome(0, 1)

    async def _commit(self, batch: Sequence[ReceivedChange], *, narrowing: bool) -> _Part:
        async with self._pool.acquire() as connection, connection.transaction():
            sifted = await self._forgotten.among(connection, batch)
            timely, dead = self._split_by_time(one for one in batch if one.key not in sifted.keys)
            if narrowing:
                dead += await self._persist_narrowed(connection, timely, sifted)
            else:
                await self._persist(connection, timely, sifted)
            forgotten = sifted.keys
            if dead:
                changes = [letter.change for letter in dead]
                forgotten |= await self._forgotten.now_among(connection, changes)
                dead = [letter for letter in dead if letter.change.key not in forgotten]
            await dead_letters.insert(connection, dead)
            self._streak.check(dead, change_count=len(batch))
            watch = Stopwatch()
        watch.lap(Stage.COMMIT)
        return _Part(dead, forgotten)

    async def _persist_narrowed(
        self, connection: Connection, batch: Sequence[ReceivedChange], sifted: Sifted
    ) -> list[DeadLetter]:
        """Persist what can be, in one pass that locks in order; return what cannot."""
        failing = await find_failing(connection, batch, partial(self._persist, sifted=sifted))
        dead = [DeadLetter.of(change, error) for change, error in failing]
        dead_keys = {letter.change.key for letter in dead}
        kept = [one for one in batch if one.key not in dead_keys]
        await self._persist(connection, kept, sifted)
        return dead

    async def _persist(
        self, connection: Connection, batch: Sequence[ReceivedChange], sifted: Sifted
    ) -> None:
        if not batch:
            return
        await keep_redeliveries(connection, batch)
        captured = [change for change in batch if change.reading is None]
        read = [change for change in batch if change.reading is not None]
        watch = Stopwatch()
        new, epoch = await insert_history(connection, captured)
        watch.lap(Stage.HISTORY)
        states = [change for change in read if not change.is_absent]
        too_late = await self._continuity.upsert(connection, [*new, *states], epoch)
        ended = await keep_ends(connection, new) | await keep_absences(connection, read)
        seen: list[ReceivedChange] = []
        if read:
            seen, epoch = await find_current(connection, states)
        watch.lap(Stage.RECORDS)
        if epoch is None:
            return
        await self._forgotten.recheck(connection, epoch, batch, sifted)
        await self._rule_book.turn_to(epoch, connection)
        await keep_opt_outs(connection, [*new, *states])
        judgeable = [change for change in new if change.key not in too_late]
        cases = [Case(change) for change in (*judgeable, *seen)]
        judged = await evaluate(connection, self._rule_book, cases)
        await keep_waits(connection, judged, wait_s=self._parent_wait_s)
        if self._rule_book.has_climbs:
            await keep_references(connection, self._rule_book, judged)
            await keep_reevaluations(connection, self._rule_book, judged[: len(judgeable)])
        watch.lap(Stage.EVALUATE)
        await fire(connection, [fired for one in judged for fired in one.fired()], ended)
        watch.lap(Stage.FIRE)
        if read:
            await keep_progress(connection, read)

    def _split_by_time(
        self, batch: Iterable[ReceivedChange]
    ) -> tuple[list[ReceivedChange], list[DeadLetter]]:
        first, last = window(retention_days=self._retention_days, now_ms=now_ms())
        timely: list[ReceivedChange] = []
        dead: list[DeadLetter] = []
        for change in batch:
            # A snapshot is as old as its record: it has no place in the history's partitions. Read
            # in the future, it would count more than all that comes until then.
            earliest = first if change.reading is None else 0
            if earliest <= change.seen_at <= last:
                timely.append(change)
            else:
                where = "before" if change.seen_at < first else "after"
                error = f"captured_at {change.seen_at} is {where} the window {first} to {last}"
                dead.append(DeadLetter(change, Reason.OUT_OF_WINDOW, error))
        return timely, dead


def _count(
    batch: Sequence[ReceivedChange], dead: Sequence[DeadLetter], forgotten: Collection[ChangeKey]
) -> None:
    committed = Counter(change.object for change in batch)
    if forgotten:
        dropped = Counter(change.object for change in batch if change.key in forgotten)
        committed.subtract(dropped)
        for sobject, count in dropped.items():
            metrics.changes_forgotten.labels(sobject).inc(count)
    committed.subtract(letter.change.object for letter in dead)
    for sobject, count in committed.items():
        metrics.changes_committed.labels(sobject).inc(count)
    for letter in dead:
        metrics.dead_letters.labels(letter.change.object, letter.reason).inc()


def _distinct(changes: Iterable[ReceivedChange]) -> list[ReceivedChange]:
    """Return each change once, in the order of the history's key."""
    by_key = {change.key: change for change in changes}
    return [by_key[key] for key in sorted(by_key)]
