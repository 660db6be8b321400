"""A database in memory: read committed, row locks, unique keys, connections that are lost.

A statement is one of the workers' own, known by its text; `statements` says what each does.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from tests.simulation.statements import HANDLERS

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from tests.simulation.watch import Watch
    from workers.received import ReceivedChange

Row: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[str, Any]
Handler: TypeAlias = "Callable[..., Awaitable[list[Row]]]"

_MAX_LATENCY_S: Final = 0.01


class Record:
    """A row as asyncpg gives it: by name and by place, iterated by values."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  whatever a column holds
        return self._row[name]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._row.values())


class Store:
    """What is committed, and who holds which row locked."""

    def __init__(self, rng: random.Random, watch: Watch) -> None:
        self.rng = rng
        self.watch = watch
        self.tables: dict[str, dict[Any, Row]] = {}
        self.owners: dict[Place, Transaction] = {}
        self.waiters: dict[Place, list[asyncio.Future[None]]] = {}
        self.ids = itertools.count(1)
        self.is_up = True
        # How likely a statement is to lose its connection, or its transaction to a deadlock.
        self.loss = 0.0
        self.connections: list[Connection] = []

    def rows(self, table: str) -> dict[Any, Row]:
        return self.tables.setdefault(table, {})

    def keeps(self, change: ReceivedChange) -> bool:
        """Tell whether a change is committed, in history or as a dead letter."""
        letter = (change.org_id, change.capture_id, change.record_id)
        return change.key in self.rows("change") or letter in self.rows("dead_letter")

    def lose_all(self) -> None:
        for connection in list(self.connections):
            connection.lose()


class Transaction:
    """What one transaction wrote, and the rows that it holds."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.written: dict[Place, Row | None] = {}
        self._locks: list[Place] = []
        self._savepoints: list[tuple[dict[Place, Row | None], int]] = []
        self.waits_for: Place | None = None
        self.is_failed = False

    def get(self, table: str, key: Any) -> Row | None:  # noqa: ANN401  a key
        if (table, key) in self.written:
            return self.written[table, key]
        return self.store.rows(table).get(key)

    def scan(self, table: str) -> list[tuple[Any, Row]]:
        """Return rows by key, as they are committed now, or written here."""
        own = {place[1]: row for place, row in self.written.items() if place[0] == table}
        merged = {**self.store.rows(table), **own} if own else self.store.rows(table)
        return [(key, row) for key, row in merged.items() if row is not None]

    def put(self, table: str, key: Any, row: Row | None) -> None:  # noqa: ANN401  a key
        self.written[table, key] = row

    def is_free(self, table: str, key: Any) -> bool:  # noqa: ANN401  a key
        return self.store.owners.get((table, key)) in (None, self)

    async def lock(self, table: str, key: Any) -> None:  # noqa: ANN401  a key
        """Hold a row, once whoever holds it is done.

        Raises:
            DeadlockDetectedError: who holds it waits for this transaction.
        """
        place = (table, key)
        owners = self.store.owners
        while (owner := owners.get(place)) not in (None, self):
            self.waits_for = place
            seen: Transaction | None = owner
            while seen is not None and seen.waits_for is not None:
                seen = owners.get(seen.waits_for)
                if seen is self:
                    self.waits_for = None
                    raise asyncpg.DeadlockDetectedError("deadlock detected")
            freed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.store.waiters.setdefault(place, []).append(freed)
            try:
                await freed
            finally:
                self.waits_for = None
        if place not in owners:
            owners[place] = self
            self._locks.append(place)

    def commit(self) -> None:
        for (table, key), row in self.written.items():
            if row is None:
                self.store.rows(table).pop(key, None)
            else:
                self.store.rows(table)[key] = row
        self.end()

    def end(self) -> None:
        self.written = {}
        self._free(0)

    def save(self) -> None:
        self._savepoints.append((dict(self.written), len(self._locks)))

    def release(self) -> None:
        self._savepoints.pop()

    def roll_back_to_savepoint(self) -> None:
        self.written, lock_count = self._savepoints.pop()
        self.is_failed = False
        self._free(lock_count)

    def _free(self, kept_count: int) -> None:
        for place in self._locks[kept_count:]:
            del self.store.owners[place]
            for freed in self.store.waiters.pop(place, ()):
                if not freed.done():
                    freed.set_result(None)
        del self._locks[kept_count:]


class Connection:
    """A connection, until it is lost; one transaction at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.open: Transaction | None = None
        self.is_lost = False
        store.connections.append(self)

    def lose(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._store.connections.remove(self)
            if self.open is not None:
                self.open.end()
                self.open = None

    async def fetch(self, statement: str, *arguments: Any) -> list[Record]:
        rows = await self._run(statement, arguments)
        return [Record(row) for row in rows]

    async def fetchval(self, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        rows = await self._run(statement, arguments)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, statement: str, *arguments: Any) -> str:
        return f"INSERT 0 {len(await self._run(statement, arguments))}"

    async def executemany(self, statement: str, many: Iterable[tuple[Any, ...]]) -> None:
        for arguments in many:
            await self._run(statement, arguments)

    def transaction(self) -> Block:
        return Block(self)

    async def hop(self) -> None:
        """Take a while; the connection may be lost by the time there is an answer."""
        rng = self._store.rng
        await asyncio.sleep(rng.choice((0.0, 0.001, _MAX_LATENCY_S * rng.random())))
        if not self.is_lost and rng.random() < self._store.loss:
            self._store.watch.note("connection lost")
            self.lose()
        self.require()

    def require(self) -> None:
        if self.is_lost:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    async def _run(self, statement: str, arguments: Iterable[Any]) -> list[Row]:
        await self.hop()
        own = self.open
        transaction = own or Transaction(self._store)
        if transaction.is_failed:
            raise asyncpg.InFailedSQLTransactionError("the transaction is aborted")
        try:
            if own is not None and self._store.rng.random() < self._store.loss:
                raise asyncpg.DeadlockDetectedError("deadlock detected")  # noqa: TRY301
            rows = await HANDLERS[statement](transaction, *arguments)
        except BaseException:
            transaction.is_failed = True
            if own is None or self.is_lost:
                transaction.end()
            raise
        if self.is_lost:
            transaction.end()
        self.require()
        if own is None:
            await self.commit(transaction)
        return rows

    async def commit(self, transaction: Transaction) -> None:
        """Commit; the connection may be lost before the commit, or before its answer."""
        try:
            await self.hop()
        except BaseException:
            transaction.end()
            raise
        transaction.commit()
        await self.hop()


class Block:
    """A transaction, or a savepoint within one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._outer: Transaction | None = None

    async def start(self) -> None:
        await self._connection.hop()
        self._outer = self._connection.open
        if self._outer is None:
            self._connection.open = Transaction(self._connection._store)  # noqa: SLF001
        else:
            self._outer.save()

    async def rollback(self) -> None:
        self._connection.require()
        own = self._connection.open
        assert own is not None
        if self._outer is None:
            own.end()
            self._connection.open = None
        else:
            own.roll_back_to_savepoint()

    async def __aenter__(self) -> None:
        await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            if not self._connection.is_lost:
                await self.rollback()
            return
        own = self._connection.open
        self._connection.require()
        assert own is not None
        if self._outer is not None:
            own.release()
            return
        try:
            await self._connection.commit(own)
        finally:
            self._connection.open = None


class Pool:
    """Connections of one process; a process that is dead gets none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # In the order in which they were made: that of a set is another in every process.
        self._connections: dict[Connection, None] = {}
        self.is_dead = False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        await asyncio.sleep(0)
        if self.is_dead or not self._store.is_up:
            raise ConnectionRefusedError("the database is away")
        connection = Connection(self._store)
        self._connections[connection] = None
        try:
            yield connection
        finally:
            self._connections.pop(connection, None)
            connection.lose()

    async def fetch(self, statement: str, *arguments: Any) -> list[Record]:
        async with self.acquire() as connection:
            return await connection.fetch(statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> str:
        async with self.acquire() as connection:
            return await connection.execute(statement, *arguments)

    def kill(self) -> None:
        """End all that the process has under way."""
        self.is_dead = True
        for connection in list(self._connections):
            connection.lose()
