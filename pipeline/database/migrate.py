"""Migrations: numbered SQL files, applied once each, in order, in one transaction."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from pipeline.database.partitions import ensure_partitions
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from pipeline.database.pool import Connection

# Two processes that migrate at once take turns on this advisory lock.
_LOCK_KEY: Final = 0x50454E53


def _migrations() -> dict[int, str]:
    files = resources.files("pipeline.migrations").iterdir()
    return {
        int(file.name.partition("_")[0]): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".sql")
    }


async def pending_migrations(connection: Connection) -> list[int]:
    """Return the numbers of the migrations that this database lacks, in order."""
    exists = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
    rows = await connection.fetch("SELECT number FROM schema_migration") if exists else []
    applied = {row["number"] for row in rows}
    return sorted(number for number in _migrations() if number not in applied)


async def unknown_migrations(connection: Connection) -> list[int]:
    """Return the numbers of migrations that a later version applied to this database."""
    rows = await connection.fetch("SELECT number FROM schema_migration ORDER BY number")
    known = _migrations()
    return [row["number"] for row in rows if row["number"] not in known]


async def migrate(connection: Connection, *, retention_days: int, now_ms: int) -> list[int]:
    """Bring the database up to date; return the numbers of the migrations applied.

    Makes the history's partitions too. Nothing is applied when any part fails.
    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            " number integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        migrations = _migrations()
        pending = await pending_migrations(connection)
        for number in pending:
            await connection.execute(migrations[number])
            await connection.execute("INSERT INTO schema_migration (number) VALUES ($1)", number)
        await ensure_partitions(connection, retention_days=retention_days, now_ms=now_ms)
    return pending


async def require_migrated(connection: Connection) -> None:
    """Return when the database answers and is up to date.

    Raises:
        TransientError: it lacks migrations; says what to run.
        Exception: it does not answer; `pipeline.errors.classify` tells what follows.
    """
    if pending := await pending_migrations(connection):
        raise TransientError(
            f"the database lacks {len(pending)} of Penstock's migrations: run `penstock migrate`"
        )
