"""Migrations: numbered SQL files, applied once each, in order, while everything runs.

How one is written, and what it may do, says `pipeline/migrations/README.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from pipeline.database.access import grant_access
from pipeline.database.apply import apply, shortly
from pipeline.database.partitions import ensure_partitions
from pipeline.database.schema import migrations, older_processes, read_schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database.apply import Migration, Told
    from pipeline.database.pool import Connection

# Processes that migrate at once take turns on this advisory lock.
_LOCK_KEY: Final = 0x50454E53
_TURN_POLL_S: Final = 0.1


async def migrate(
    connection: Connection,
    *,
    retention_days: int,
    now_ms: int,
    told: Told = lambda _: None,
) -> list[int]:
    """Bring the database up to date; return the numbers of the migrations applied.

    Makes the history's partitions too, and grants each role its share (`access`), which is left to
    a later version that migrated the database: its processes may need more. Each migration is
    all done or not at all; when one fails, those before it are applied and the next call goes on.
    What takes something away that a process uses which runs is left to a later call. `told` hears
    of that, and of what takes long, and why.

    Raises:
        MigrationHeld: one did not get its locks for ten minutes; says what may hold them.
    """
    async with _turn(connection):
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            " number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        known = migrations()
        schema = await read_schema(connection)
        applied = []
        for number in sorted([*schema.lacks, *schema.leftover]):
            if await _is_due(connection, known[number], told):
                await apply(connection, known[number], told)
                applied.append(number)
        await shortly(
            connection,
            "the history's partitions",
            partial(ensure_partitions, connection, retention_days=retention_days, now_ms=now_ms),
            told,
        )
        if schema.unknown:
            later = f"{max(schema.unknown):04}"
            told(f"a later version migrated the database ({later}): roles keep what it granted")
        else:
            await shortly(connection, "roles", partial(grant_access, connection), told)
    return applied


async def _is_due(connection: Connection, migration: Migration, told: Told) -> bool:
    """Tell whether nothing runs any more that uses what a migration takes away."""
    if migration.unused_since is None:
        return True
    older = await older_processes(connection, migration.unused_since)
    if older:
        told(
            f"migration {migration.number:04} takes away what versions before"
            f" {migration.unused_since:04} use, and so waits for the end of {', '.join(older)}:"
            " run `penstock migrate` again then"
        )
    return not older


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
