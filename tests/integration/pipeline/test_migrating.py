"""Migrations applied beside those who work: what they wait for, and what waits for them."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from pipeline.database import MigrationHeld, migrate, require_migrated, schema
from pipeline.database import apply as applying
from pipeline.database.apply import apply, parse
from pipeline.database.schema import migrations
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection

# What the longest wait behind a migration may come to: a lock's two seconds, and a busy machine's.
MAX_WAIT_S: Final = 5.0
ADD_COLUMN: Final = parse(9001, "ALTER TABLE org ADD COLUMN note text;\n")
INDEX: Final = parse(
    9002,
    "-- apply: concurrently\n"
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS org_by_age ON org (created_at);\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS org_by_user ON org (sync_user_id);\n",
)
BATCHES: Final = parse(
    9003,
    "-- apply: in batches\n"
    "UPDATE org SET paused = true WHERE org_id IN"
    " (SELECT org_id FROM org WHERE NOT paused LIMIT 10);\n",
)
APPLIED: Final = "SELECT number FROM schema_migration WHERE number > 9000"
TAKES_AWAY: Final = parse(
    9001, "-- contract: unused since 9000\nALTER TABLE heartbeat DROP COLUMN api_version;\n"
)
ADD_PROCESS: Final = """
    INSERT INTO process (process_id, kind, host, pid, objects, version, knows_migration, ended_at)
    VALUES ($1::integer, 'worker', 'node', $1, '{}', '0.1.0', $2, $3::text::timestamptz)"""
WAITS: Final = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_somebody_waits(connection: Connection) -> None:
    async with asyncio.timeout(30):
        while not await connection.fetchval(WAITS):
            pass


async def add_orgs(connection: Connection, count: int) -> None:
    await connection.execute(
        "INSERT INTO org (org_id, sync_user_id) SELECT n, n FROM generate_series(1, $1) AS n", count
    )


async def test_nobody_waits_long_behind_a_migration_that_waits_for_its_lock(
    database_url: str,
) -> None:
    told: list[str] = []
    async with (
        connected(database_url) as holder,
        connected(database_url) as migrating,
        connected(database_url) as working,
    ):
        transaction = holder.transaction()
        await transaction.start()
        await holder.fetch("SELECT FROM org")
        applied = asyncio.create_task(apply(migrating, ADD_COLUMN, told.append))
        await until_somebody_waits(working)
        began = time.monotonic()
        await working.fetch("SELECT FROM org")
        assert time.monotonic() - began < MAX_WAIT_S
        async with asyncio.timeout(30):
            while not told:
                await working.fetch("SELECT FROM org")
        assert not applied.done()
        await transaction.rollback()
        await applied
        assert told[0] == "migration 9001 waits for locks (try 1)"
        assert [row["number"] for row in await working.fetch(APPLIED)] == [9001]


async def test_a_migration_that_never_gets_its_lock_says_who_may_hold_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "_LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(applying, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(applying, "_PATIENCE_S", 0.3)
    async with connected(database_url) as holder, connected(database_url) as migrating:
        await holder.execute("SET application_name = 'a long report'")
        async with holder.transaction():
            await holder.fetch("SELECT FROM org")
            with pytest.raises(MigrationHeld, match=r"migration 9001 .* of a long report"):
                await apply(migrating, ADD_COLUMN, lambda _: None)
        assert await holder.fetch(APPLIED) == []


async def test_an_index_is_built_beside_a_writer_and_one_left_half_built_is_built_anew(
    database_url: str,
) -> None:
    told: list[str] = []
    async with (
        connected(database_url) as writer,
        connected(database_url) as migrating,
        connected(database_url) as looking,
    ):
        await add_orgs(writer, 2)
        await writer.execute("UPDATE org SET sync_user_id = 'same'")
        with pytest.raises(asyncpg.UniqueViolationError):
            await apply(migrating, INDEX, told.append)
        await writer.execute("UPDATE org SET sync_user_id = org_id")
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute("UPDATE org SET paused = true")
        built = asyncio.create_task(apply(migrating, INDEX, told.append))
        await until_somebody_waits(looking)
        async with asyncio.timeout(MAX_WAIT_S):
            await looking.execute("INSERT INTO org (org_id, sync_user_id) VALUES ('new', 'new')")
        await transaction.commit()
        await built
        assert told == ["index org_by_user was left half built: it is built anew"]
        invalid = "SELECT FROM pg_index WHERE NOT indisvalid"
        assert await looking.fetch(invalid) == []
        assert [row["number"] for row in await looking.fetch(APPLIED)] == [9002]


async def test_a_backfill_goes_in_batches_to_its_end(database_url: str) -> None:
    async with connected(database_url) as connection:
        await add_orgs(connection, 25)
        await apply(connection, BATCHES, lambda _: None)
        assert await connection.fetchval("SELECT count(*) FROM org WHERE paused") == 25
        # Each by a transaction of its own.
        assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM org") == 3


async def test_a_migration_that_fails_leaves_those_before_it_and_the_next_run_goes_on(
    empty_database_url: str,
) -> None:
    async def migrated() -> list[int]:
        async with connected(empty_database_url) as connection:
            return await migrate(connection, retention_days=90, now_ms=1_795_430_400_000)

    async with connected(empty_database_url) as connection:
        # In the way of what the second migration makes.
        await connection.execute("CREATE TABLE described_object ()")
        with pytest.raises(asyncpg.DuplicateTableError):
            await migrated()
        assert await connection.fetchval("SELECT to_regclass('sequence')") is None
        with pytest.raises(TransientError, match="run `penstock migrate`"):
            await require_migrated(connection)
        await connection.execute("DROP TABLE described_object")
        assert await migrated() == sorted(migrations())[1:]


async def test_a_process_of_the_version_before_runs_on_a_newer_database(database_url: str) -> None:
    async with connected(database_url) as connection:
        await connection.execute("INSERT INTO schema_migration (number) VALUES (9999)")
        await require_migrated(connection)


async def test_what_an_older_process_uses_is_taken_away_once_it_has_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = {**migrations(), 9001: TAKES_AWAY, 9002: INDEX._replace(number=9002)}
    told: list[str] = []

    async def migrated() -> list[int]:
        with monkeypatch.context() as patch:
            # `pipeline.database.migrate` is the function, too.
            for module in (schema, sys.modules[migrate.__module__]):
                patch.setattr(module, "migrations", lambda: later)
            applied = await migrate(
                connection, retention_days=90, now_ms=1_795_430_400_000, told=told.append
            )
            # A process of that version needs nothing to be away.
            await require_migrated(connection)
            return applied

    async with connected(database_url) as connection:
        for pid, knows, ended in ((7, 18, None), (8, 9000, None), (9, None, "now")):
            await connection.execute(ADD_PROCESS, pid, knows, ended)
        assert await migrated() == [9002]
        assert [line.partition(", and so waits")[2] for line in told] == [
            " for the end of worker 7 on node (0.1.0): run `penstock migrate` again then"
        ]
        await require_migrated(connection)

        await connection.execute("UPDATE process SET ended_at = now() WHERE pid = 7")
        assert await migrated() == [9001]
        # Whoever starts the older version again hears of it before it does anything.
        with pytest.raises(TransientError, match=r"at least 9000 is asked for; upgrade it$"):
            await require_migrated(connection)
