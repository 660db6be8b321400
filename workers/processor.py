"""One transaction for a batch of changes: dedupe, persist, evaluate, enrol, keep what is dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.database import window
from pipeline.errors import Kind, PermanentError, Reason, classify
from workers import dead_letters, tries
from workers.dead_letters import DeadLetter, Streak
from workers.enrollments import Fired, fire
from workers.history import insert_history, upsert_records
from workers.received import now_ms
from workers.rule_book import RuleBook

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.database import Connection, Pool
    from workers.received import ReceivedChange

_MAX_TRIES: Final = 3


class Outcome(NamedTuple):
    """What became of a batch: every change is one of the two, or was known already."""

    committed_count: int
    dead_count: int


class Processor:
    """Commits batches of changes."""

    def __init__(self, pool: Pool, *, retention_days: int) -> None:
        self._pool = pool
        self._retention_days = retention_days
        self._rule_book = RuleBook()
        self._streak = Streak()

    async def process(self, changes: Iterable[ReceivedChange]) -> Outcome:
        """Commit a batch, in one transaction that holds its dead letters too.

        Once this has returned, each change has had its effects exactly once.

        Raises:
            TooManyDeadLetters: nothing was committed and consuming has to stop.
            Exception: nothing was committed; what `classify` calls transient is to be tried again.
        """
        batch = _distinct(changes)
        try:
            dead = await self._commit(batch, narrowing=False)
        except Exception as error:
            if classify(error) is not Kind.PERMANENT:
                raise
            # A batch with a bad change costs a second transaction, with savepoints; others none.
            dead = await self._commit(batch, narrowing=True)
        self._streak.count(dead, change_count=len(batch))
        return Outcome(len(batch) - len(dead), len(dead))

    async def process_suspect(self, change: ReceivedChange) -> Outcome:
        """Commit one change that may crash this process, after a mark that outlives the crash.

        Raises:
            Exception: as `process`.
        """
        async with self._pool.acquire() as connection:
            tried_count = await tries.mark(connection, change)
        if tried_count <= _MAX_TRIES:
            try:
                return await self.process([change])
            finally:
                # Also after an error: it was survived, and an outage is no crash.
                async with self._pool.acquire() as connection:
                    await tries.clear(connection, change)
        error = PermanentError(Reason.CRASHED_WORKER, f"{_MAX_TRIES} workers died on this change")
        async with self._pool.acquire() as connection, connection.transaction():
            await dead_letters.insert(connection, [DeadLetter.of(change, error)])
            await tries.clear(connection, change)
        return Outcome(0, 1)

    async def _commit(
        self, batch: Sequence[ReceivedChange], *, narrowing: bool
    ) -> list[DeadLetter]:
        timely, dead = self._split_by_time(batch)
        async with self._pool.acquire() as connection, connection.transaction():
            if narrowing:
                dead += await self._persist_narrowed(connection, timely)
            else:
                await self._persist(connection, timely)
            await dead_letters.insert(connection, dead)
            self._streak.check(dead, change_count=len(batch))
        return dead

    async def _persist_narrowed(
        self, connection: Connection, batch: Sequence[ReceivedChange]
    ) -> list[DeadLetter]:
        """Persist what can be, halving around what cannot; return the changes that stood alone."""
        if not batch:
            return []
        try:
            async with connection.transaction():
                await self._persist(connection, batch)
        except Exception as error:
            if classify(error) is not Kind.PERMANENT:
                raise
            if len(batch) == 1:
                return [DeadLetter.of(batch[0], error)]
        else:
            return []
        middle = len(batch) // 2
        return [
            *await self._persist_narrowed(connection, batch[:middle]),
            *await self._persist_narrowed(connection, batch[middle:]),
        ]

    async def _persist(self, connection: Connection, batch: Sequence[ReceivedChange]) -> None:
        if not batch:
            return
        new, epoch = await insert_history(connection, batch)
        if epoch is None:
            return
        await upsert_records(connection, new)
        await self._rule_book.turn_to(epoch, connection)
        await fire(
            connection,
            (Fired(change, match) for change in new for match in self._rule_book.evaluate(change)),
        )

    def _split_by_time(
        self, batch: Iterable[ReceivedChange]
    ) -> tuple[list[ReceivedChange], list[DeadLetter]]:
        first, last = window(retention_days=self._retention_days, now_ms=now_ms())
        timely: list[ReceivedChange] = []
        dead: list[DeadLetter] = []
        for change in batch:
            if first <= change.captured_at <= last:
                timely.append(change)
            else:
                where = "before" if change.captured_at < first else "after"
                error = f"captured_at {change.captured_at} is {where} the window {first} to {last}"
                dead.append(DeadLetter(change, Reason.OUT_OF_WINDOW, error))
        return timely, dead


def _distinct(changes: Iterable[ReceivedChange]) -> list[ReceivedChange]:
    """Return each change once, in the order of the history's key."""
    by_key = {change.key: change for change in changes}
    return [by_key[key] for key in sorted(by_key)]
