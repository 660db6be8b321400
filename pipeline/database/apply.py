"""One migration applied while everything runs: in short transactions, or beside all that writes."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, assert_never

import asyncpg
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential_jitter,
)

from pipeline.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.database.pool import Connection

    T = TypeVar("T")
    Told = Callable[[str], None]

# Whoever waits for a lock has all others wait behind it: so shortly, and again later. Longer than
# `deadlock_timeout` (1 s), after which an autovacuum that is in the way gives way.
_LOCK_TIMEOUT: Final = "2s"
# What a migration locks, it holds to its end; workers hold their deliveries meanwhile.
_STATEMENT_TIMEOUT: Final = "30s"
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 20.0
_PATIENCE_S: Final = 600.0
# Of what holds nobody up, and takes as long as the table is large.
_UNHURRIED_S: Final = 7 * 86_400.0

_APPLY: Final = re.compile(r"-- apply: (.+)\n")
_UNUSED: Final = re.compile(r"-- contract: unused since (\d{4})\b")
_INDEX: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)")
_NOTE: Final = "INSERT INTO schema_migration (number) VALUES ($1)"
_NOTE_UNUSED: Final = "INSERT INTO schema_migration (number, unused_since) VALUES ($1, $2)"
_INVALID: Final = (
    "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)"
)
_OLDEST: Final = """
    SELECT pid, application_name, extract(epoch FROM now() - xact_start)::integer AS age_s
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    ORDER BY xact_start LIMIT 1"""


class Way(StrEnum):
    """How a file is applied; its first line says `-- apply: …` where it is not a transaction."""

    TRANSACTION = "in a transaction"
    # Each statement by itself: CREATE INDEX CONCURRENTLY.
    CONCURRENTLY = "concurrently"
    # Its statement again and again, a transaction each, until no row is left to do.
    BATCHES = "in batches"


class Migration(NamedTuple):
    """One file.

    One that only takes away says since which migration's version no process uses that any more
    (`unused_since`): it is applied once nothing older runs, and nothing needs it.
    """

    number: int
    way: Way
    sql: str
    unused_since: int | None = None


class MigrationHeld(TransientError):
    """Something held a lock that a migration needs, all the time; those before it are applied."""


def parse(number: int, sql: str) -> Migration:
    """Return a migration as its file has it."""
    header = _APPLY.match(sql)
    unused = max(map(int, _UNUSED.findall(sql)), default=None)
    return Migration(number, Way(header[1]) if header else Way.TRANSACTION, sql, unused)


async def apply(connection: Connection, migration: Migration, told: Told) -> None:
    """Apply one migration, and note that it is.

    Raises:
        MigrationHeld: as `migrate`.
    """
    name = f"migration {migration.number:04}"
    match migration.way:
        case Way.TRANSACTION:

            async def once() -> None:
                await connection.execute(migration.sql)
                await _note(connection, migration)

            await shortly(connection, name, once, told)
        case Way.CONCURRENTLY:
            for statement in statements(migration.sql):
                await _build(connection, statement, told)
            await _note(connection, migration)
        case Way.BATCHES:
            batch = partial(connection.execute, migration.sql)
            while not (await shortly(connection, name, batch, told)).endswith(" 0"):
                pass
            await _note(connection, migration)
        case _:
            assert_never(migration.way)


async def _note(connection: Connection, migration: Migration) -> None:
    # What takes nothing away is noted as it was before there was a column for that.
    if migration.unused_since is None:
        await connection.execute(_NOTE, migration.number)
    else:
        await connection.execute(_NOTE_UNUSED, migration.number, migration.unused_since)


def statements(sql: str) -> list[str]:
    """Return the statements of a file that has no semicolon but between them."""
    code = re.sub(r"--[^\n]*", "", sql)
    return [stripped for one in code.split(";") if (stripped := one.strip())]


async def _build(connection: Connection, statement: str, told: Told) -> None:
    """Build an index beside all that writes to its table.

    One that was interrupted leaves an index that is kept up to date and serves nobody: it goes.
    """
    name = _INDEX.match(statement)
    if name is not None and await connection.fetchval(_INVALID, name[1]):
        told(f"index {name[1]} was left half built: it is built anew")
        await connection.execute(f"DROP INDEX CONCURRENTLY {name[1]}", timeout=_UNHURRIED_S)
    await connection.execute(statement, timeout=_UNHURRIED_S)


async def shortly(
    connection: Connection, name: str, act: Callable[[], Awaitable[T]], told: Told
) -> T:
    """Act in a transaction that waits shortly for locks, again and again until it gets them."""

    async def once() -> T:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            await connection.execute(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'")
            return await act()

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(
            (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
        ),
        wait=wait_exponential_jitter(
            multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S, jitter=_FIRST_PAUSE_S
        ),
        stop=stop_after_delay(_PATIENCE_S),
        before_sleep=lambda state: told(f"{name} waits for locks (try {state.attempt_number})"),
    )
    try:
        return await retrying(once)
    except RetryError as error:
        found = await connection.fetchrow(_OLDEST)
        held_by = (
            f"; the oldest transaction is of {found['application_name'] or 'somebody'}"
            f" (pid {found['pid']}), open for {found['age_s']} s"
            if found
            else ""
        )
        raise MigrationHeld(
            f"{name} did not get its locks within {_PATIENCE_S / 60:.0f} min{held_by}"
        ) from error
