"""Each role may do what is written of it in `pipeline.database.access`, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from pipeline.database import drop_partitions, ensure_partitions, migrate
from pipeline.database.access import FUNCTIONS, Role, grant_access, privileges
from workers.upkeep import clear

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLES: Final = """
    SELECT relname FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT relispartition"""
# Of each role on each table: privileges on the whole, and on single columns.
GRANTED: Final = """
    SELECT grantee AS role, table_name, privilege_type AS privilege, NULL AS column_name
    FROM information_schema.role_table_grants
    WHERE table_schema = current_schema() AND grantee LIKE 'penstock\\_%'
    UNION ALL
    SELECT pg_get_userbyid(acl.grantee), relname, acl.privilege_type, attname
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid, aclexplode(attacl) AS acl
    WHERE relnamespace = current_schema()::regnamespace"""
DEFINERS: Final = """
    SELECT oid::regprocedure::text AS name FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace AND prosecdef"""
PART: Final = re.compile(r"(\w+)(?: \(([^)]+)\))?")
NOT_FOR: Final = (
    (Role.INGEST, "SELECT FROM change"),
    (Role.INGEST, "SELECT FROM record"),
    (Role.INGEST, "SELECT FROM enrollment"),
    (Role.INGEST, "SELECT FROM rule"),
    (Role.INGEST, "SELECT FROM dead_letter"),
    (Role.INGEST, "DELETE FROM org"),
    (Role.INGEST, "UPDATE org SET sync_user_id = ''"),
    (Role.INGEST, "SELECT penstock_make_partition(0, 1)"),
    (Role.WORKER, "SELECT secret FROM org"),
    (Role.WORKER, "UPDATE org SET paused = false"),
    (Role.WORKER, "UPDATE rule SET state = 'active'"),
    (Role.WORKER, "SELECT hash FROM console_token"),
    (Role.WORKER, "UPDATE change SET new = NULL"),
    (Role.WORKER, "DELETE FROM change"),
    (Role.WORKER, "DROP TABLE change"),
    (Role.RELAY, "SELECT secret FROM org"),
    (Role.RELAY, "SELECT FROM record"),
    (Role.RELAY, "DELETE FROM outbox"),
    (Role.CONSOLE, "SELECT secret FROM org"),
    (Role.CONSOLE, "SELECT connect_code FROM org"),
    (Role.CONSOLE, "UPDATE org SET secret = 'mine'"),
    (Role.CONSOLE, "INSERT INTO console_token DEFAULT VALUES"),
    (Role.CONSOLE, "DELETE FROM action"),
    (Role.CONSOLE, "SELECT addresses FROM forgetting"),
    (Role.OPERATOR, "DELETE FROM tombstone"),
    (Role.OPERATOR, "DELETE FROM change"),
    (Role.OPERATOR, "DELETE FROM action"),
    (Role.OPERATOR, "UPDATE action SET actor = 'nobody'"),
    (Role.OPERATOR, "TRUNCATE change"),
)


RETENTION_DAYS: Final = 90
NOW_MS: Final = 4_000_000_000_000


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


def written(role: Role) -> set[tuple[str, str, str, str | None]]:
    """Return what is written of a role, a row each as in GRANTED."""
    rows: set[tuple[str, str, str, str | None]] = set()
    for table, granted in privileges(role).items():
        for privilege, columns in PART.findall(granted):
            names = columns.split(", ") if columns else [None]
            rows |= {(role.value, table, privilege, name) for name in names}
    return rows


async def granted(connection: asyncpg.Connection[asyncpg.Record]) -> set[tuple[str, ...]]:
    rows = await connection.fetch(GRANTED)
    return {tuple(row) for row in rows if row["role"] in set(Role)}


async def test_of_every_table_it_is_written_who_may_do_what(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    tables = {row["relname"] for row in await connection.fetch(TABLES)}
    for role in Role:
        assert privileges(role).keys() == tables, "decide it in pipeline/database/access.py"


async def test_what_is_granted_is_what_is_written(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    assert await granted(connection) == set().union(*(written(role) for role in Role))


async def test_migrating_takes_what_is_not_written(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    before = await granted(connection)
    await connection.execute("GRANT SELECT ON change, record TO penstock_ingest")
    await connection.execute("GRANT UPDATE (paused) ON org TO penstock_relay")
    await connection.execute("REVOKE INSERT ON change FROM penstock_worker")
    async with connection.transaction():
        assert set(await grant_access(connection)) == set(Role)
    assert await granted(connection) == before


async def test_an_older_version_takes_nothing_that_a_later_one_granted(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    told: list[str] = []
    await connection.execute("GRANT SELECT ON change TO penstock_ingest")
    await connection.execute("INSERT INTO schema_migration (number) VALUES (9999)")
    before = await granted(connection)
    await migrate(connection, retention_days=RETENTION_DAYS, now_ms=NOW_MS, told=told.append)
    assert await granted(connection) == before
    assert told == ["a later version migrated the database (9999): roles keep what it granted"]


async def test_functions_with_their_owners_rights_are_called_by_whom_it_is_written(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    rows = await connection.fetch(DEFINERS)
    assert {row["name"].replace(",", ", ") for row in rows} == FUNCTIONS.keys()
    for function, callers in FUNCTIONS.items():
        may = {
            role
            for role in Role
            if await connection.fetchval(
                "SELECT has_function_privilege($1, $2, 'EXECUTE')", role, function
            )
        }
        assert may == callers


@pytest.mark.parametrize(("role", "statement"), NOT_FOR)
async def test_a_role_is_refused_what_is_none_of_its_business(
    connection: asyncpg.Connection[asyncpg.Record], role: Role, statement: str
) -> None:
    await connection.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)


async def test_a_worker_makes_partitions_and_writes_to_them(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    await connection.execute(f"SET ROLE {Role.WORKER}")
    # What a caller has of that name is not what is written to.
    await connection.execute("CREATE TEMP TABLE change (captured_at bigint)")
    async with connection.transaction():
        await ensure_partitions(connection, retention_days=RETENTION_DAYS, now_ms=NOW_MS)
    await connection.execute("DROP TABLE pg_temp.change")
    await connection.execute(
        """INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation,
                               sequence, transaction_id, callout_id, received_at)
           VALUES ($1, '', '', '', 'Lead', 'insert', 0, '', '', 0)""",
        NOW_MS,
    )
    assert await connection.fetchval("SELECT count(*) FROM change") == 1


async def test_a_worker_clears_away_what_is_over_and_drops_nothing_of_the_history(
    connection: asyncpg.Connection[asyncpg.Record], database_url: str
) -> None:
    history = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'change'::regclass"
    before = await connection.fetchval(history)
    async with asyncpg.create_pool(
        database_url, min_size=0, max_size=1, server_settings={"role": Role.WORKER.value}
    ) as pool:
        await clear(pool, retention_days=RETENTION_DAYS)
        async with pool.acquire() as mine:
            assert await drop_partitions(mine, retention_days=RETENTION_DAYS, now_ms=NOW_MS) == []
    assert await connection.fetchval(history) == before
