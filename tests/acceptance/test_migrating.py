"""A later version migrates the database while this one's processes work: nobody notices."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import asyncpg

from pipeline.database.apply import apply, parse
from tests.load import Load
from tests.migration_rules import objections
from tests.salesforce import Salesforce

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

# A lock's two seconds, and a busy machine's.
MAX_WAIT_S: Final = 6.0
# What a migration may do to the tables that workers and relays write most, one way after another.
MIGRATIONS: Final = [
    # What this version inserts meanwhile has the default: only what was there before is filled in.
    parse(
        9001,
        "ALTER TABLE record ADD COLUMN note text, ADD COLUMN tries integer DEFAULT 0;\n"
        "ALTER TABLE record ALTER COLUMN note SET DEFAULT 'filled';\n",
    ),
    parse(
        9002,
        "ALTER TABLE outbox ADD CONSTRAINT outbox_tried CHECK (attempts >= 0) NOT VALID;\n"
        "ALTER TABLE change ADD COLUMN note text;\n",
    ),
    parse(9003, "ALTER TABLE outbox VALIDATE CONSTRAINT outbox_tried;\n"),
    parse(
        9004,
        "-- apply: concurrently\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS record_by_object ON record (object);\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_by_org ON outbox (org_id, outbox_id);\n",
    ),
    parse(
        9005,
        "-- apply: in batches\n"
        "UPDATE record SET note = 'filled' WHERE (org_id, record_id) IN"
        " (SELECT org_id, record_id FROM record WHERE note IS NULL ORDER BY org_id, record_id"
        " LIMIT 100 FOR UPDATE SKIP LOCKED);\n",
    ),
]
LONGEST_WAIT: Final = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)::float8
    FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND application_name LIKE 'penstock %'
      AND datname = current_database()"""


async def test_migrations_under_load_cost_no_error_no_dead_letter_and_no_long_wait(
    penstock: PenstockProcesses,
) -> None:
    tables = {"record", "outbox", "change"}
    assert [found for one in MIGRATIONS if (found := objections(one, tables))] == []
    url = penstock.environment["PENSTOCK_DATABASE__URL"]
    await penstock.start_ingest()
    org = await Salesforce.connect(penstock)
    workers = [await penstock.start_worker(), await penstock.start_worker()]
    longest_s = 0.0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal longest_s
        connection = await asyncpg.connect(url)
        try:
            while not done.is_set():
                longest_s = max(longest_s, await connection.fetchval(LONGEST_WAIT))
                await asyncio.sleep(0.02)
        finally:
            await connection.close()

    watching = asyncio.create_task(watch())
    migrating = await asyncpg.connect(url, server_settings={"application_name": "migration"})
    try:
        async with Load(org, sender_count=8) as load:
            for migration in MIGRATIONS:
                await load.until_accepted(20)
                await apply(migrating, migration, lambda _: None)
            await load.until_accepted(20)
        await load.assert_kept_once(penstock)
    finally:
        done.set()
        await watching
        await migrating.close()
    # A later worker of this version starts on the newer database, too.
    await penstock.start_worker()
    assert longest_s < MAX_WAIT_S
    events = [json.loads(line) for one in workers for line in one.log.splitlines()]
    assert [one for one in events if one["level"] in {"error", "critical"}] == []
    assert await penstock.fetch("SELECT FROM schema_migration WHERE number > 9000") != []
