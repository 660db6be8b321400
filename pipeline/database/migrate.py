"""Migrations: numbered SQL files, applied once each, in order, while everything runs.

How one is written, and what it may do, says `pipeline/migrations/README.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Final

from pipeline.database.access import grant_access
from pipeline.database.apply import Migration, apply, parse, shortly
from pipeline.database.partitions import ensure_partitions
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pipeline.database.pool import Connection

# Processes that migrate at once take turns on this advisory lock.
_LOCK_KEY: Final = 0x50454E53
_TURN_POLL_S: Final = 0.1


@cache
def migrations() -> Mapping[int, Migration]:
    """Return all migrations by their numbers."""
    files = resources.files("pipeline.migrations").iterdir()
    found = [
        parse(int(file.name.partition("_")[0]), file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".sql")
    ]
    return {one.number: one for one in found}


async def pending_migrations(connection: Connection) -> list[int]:
    """Return the numbers of the migrations that this database lacks, in order."""
    exists = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
    rows = await connection.fetch("SELECT number FROM schema_migration") if exists else []
    applied = {row["number"] for row in rows}
    return sorted(number for number in migrations() if number not in applied)


async def unknown_migrations(connection: Connection) -> list[int]:
    """Return the numbers of migrations that a later version applied to this database."""
    rows = await connection.fetch("SELECT number FROM schema_migration ORDER BY number")
    known = migrations()
    return [row["number"] for row in rows if row["number"] not in known]


async def migrate(
    connection: Connection,
    *,
    retention_days: int,
    now_ms: int,
    told: Callable[[str], None] = lambda _: None,
) -> list[int]:
    """Bring the database up to date; return the numbers of the migrations applied.

    Makes the history's partitions too, and grants each role its share (`access`). Each migration is
    all done or not at all; when one fails, those before it are applied and the next call goes on.
    `told` hears what takes long, and why.

    Raises:
        MigrationHeld: one did not get its locks for ten minutes; says what may hold them.
    """
    async with _turn(connection):
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            " number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = migrations()
        pending = await pending_migrations(connection)
        for number in pending:
            await apply(connection, known[number], told)
        await shortly(
            connection,
            "the history's partitions",
            partial(ensure_partitions, connection, retention_days=retention_days, now_ms=now_ms),
            told,
        )
        await shortly(connection, "roles", partial(grant_access, connection), told)
    return pending


async def require_migrated(connection: Connection) -> None:
    """Return when the database answers and is up to date, or migrated by a later version.

    Raises:
        TransientError: it lacks migrations; says what to run.
        Exception: it does not answer; `pipeline.errors.classify` tells what follows.
    """
    if pending := await pending_migrations(connection):
        raise TransientError(
            f"the database lacks {len(pending)} of Penstock's migrations: run `penstock migrate`"
        )


@contextlib.asynccontextmanager
async def _turn(connection: Connection) -> AsyncIterator[None]:
    # Asked again and again: whoever waited for it inside the server would have a snapshot open, for
    # which an index that is built concurrently waits, and so each for the other.
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK_KEY):
            break
        await asyncio.sleep(_TURN_POLL_S)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)
