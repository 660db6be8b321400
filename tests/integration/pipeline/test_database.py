from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from ops.stack.ports import LOOPBACK, free_port
from pipeline.database import (
    DATABASE_ERRORS,
    Hosts,
    ensure_partitions,
    hosts,
    migrate,
    open_pool,
    read_schema,
    window,
)
from pipeline.database import pool as pool_module
from pipeline.database.partitions import DAY_MS, WEEK_MS
from pipeline.errors import Kind, classify
from pipeline.settings import Database, Secret
from tests.chaos.proxy import Proxy
from tests.servers import database_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool

RETENTION_DAYS = 90
NOW_MS = 1_795_430_400_000
INSERT = """
    INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                        transaction_id, callout_id, received_at)
    VALUES ($1, 'c', 'r', 'o', 'Lead', 'insert', 0, 't', 'm', 0)"""
PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'change'::regclass"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def migrated(url: str, now_ms: int = NOW_MS) -> list[int]:
    async with connected(url) as connection:
        return await migrate(connection, retention_days=RETENTION_DAYS, now_ms=now_ms)


async def test_migrations_are_applied_once_in_order(empty_database_url: str) -> None:
    async with connected(empty_database_url) as connection:
        schema = await read_schema(connection)
        pending = sorted([*schema.lacks, *schema.leftover])
        assert pending == list(range(1, len(pending) + 1))
        assert await migrated(empty_database_url) == pending
        assert (await read_schema(connection)).lacks == []
        assert await migrated(empty_database_url) == []


async def test_processes_that_migrate_at_once_take_turns(empty_database_url: str) -> None:
    applied = await asyncio.gather(*(migrated(empty_database_url) for _ in range(5)))
    assert sorted(applied) == [[]] * 4 + [max(applied)]
    assert max(applied)[0] == 1


@pytest.mark.parametrize("past_the_week_ms", [0, 1, WEEK_MS - 1])
async def test_every_time_in_the_window_has_a_partition_and_two_weeks_ahead(
    empty_database_url: str, past_the_week_ms: int
) -> None:
    now_ms = NOW_MS // WEEK_MS * WEEK_MS + past_the_week_ms
    await migrated(empty_database_url, now_ms)
    first, last = window(retention_days=RETENTION_DAYS, now_ms=now_ms)
    async with connected(empty_database_url) as connection:
        times = [*range(first - DAY_MS, last, DAY_MS), first, last, now_ms + 2 * WEEK_MS - 1]
        for captured_at in sorted(set(times)):
            await connection.execute(INSERT, captured_at)
        with pytest.raises(asyncpg.CheckViolationError, match="no partition") as missing:
            await connection.execute(INSERT, now_ms + 5 * WEEK_MS)
        assert classify(missing.value) is Kind.TRANSIENT


async def test_partitions_are_made_ahead_again_and_again_by_many(database_url: str) -> None:
    now_ms = time.time_ns() // 1_000_000

    async def upkeep(at_ms: int) -> None:
        async with connected(database_url) as connection, connection.transaction():
            await ensure_partitions(connection, retention_days=RETENTION_DAYS, now_ms=at_ms)

    async with connected(database_url) as connection:
        before = await connection.fetchval(PARTITIONS)
        await upkeep(now_ms)
        assert await connection.fetchval(PARTITIONS) == before
        await asyncio.gather(*(upkeep(now_ms + 3 * WEEK_MS) for _ in range(4)))
        assert await connection.fetchval(PARTITIONS) == before + 3


async def test_a_pool_opens_without_a_database_and_says_what_lacks(database_url: str) -> None:
    nowhere = Database(url=Secret(database_at(database_url, "no_such_database")))
    async with open_pool(nowhere, "test") as pool:
        with pytest.raises(asyncpg.InvalidCatalogNameError) as missing:
            await pool.fetchval("SELECT 1")
        assert classify(missing.value) is Kind.TRANSIENT


async def test_a_connection_that_the_network_forgot_costs_the_time_of_one_statement(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "COMMAND_TIMEOUT_S", 3.0)
    server = urlsplit(database_url)

    def port() -> int:
        assert server.port is not None
        return server.port

    async with Proxy(port) as proxy:
        through = server._replace(netloc=server.netloc.replace(f":{port()}", f":{proxy.port}"))
        settings = Database(url=Secret(through.geturl()), pool_size=1)
        async with open_pool(settings, "test") as pool:
            await pool.execute("SELECT 1")
            proxy.forget()
            began = time.monotonic()
            with pytest.raises(DATABASE_ERRORS) as error:
                async with pool.acquire() as connection, connection.transaction():
                    await connection.execute("SELECT 1")
            assert time.monotonic() - began < 5.9
            assert classify(error.value) is Kind.TRANSIENT
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_pool_opens_no_more_connections_than_it_may(database_url: str) -> None:
    settings = Database(url=Secret(database_url), pool_size=2)
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool under test'"
    async with open_pool(settings, "pool under test") as pool:
        assert pool.get_size() == 0
        counts = await asyncio.gather(*(pool.fetchval(count) for _ in range(20)))
        assert 1 <= max(counts) <= 2


async def test_a_pool_goes_on_after_the_database_cut_it_off(database_url: str) -> None:
    async with open_pool(Database(url=Secret(database_url)), "cut off") as pool:
        await pool.fetchval("SELECT 1")
        async with connected(database_url) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'cut off'"
            )
        failures: list[BaseException] = []
        async with asyncio.timeout(10):
            while not await answers(pool, failures):
                pass
        assert {classify(failure) for failure in failures} <= {Kind.TRANSIENT}


async def test_rows_that_a_forgotten_connection_has_locked_are_let_go(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "ABANDONED_AFTER_MS", 200)
    async with open_pool(Database(url=Secret(database_url)), "forgotten") as pool:
        connection = await pool.acquire()
        # Nothing more is heard of this client, and nothing of its end.
        await connection.execute("BEGIN; UPDATE rule_epoch SET epoch = epoch + 1")
        async with connected(database_url) as other, asyncio.timeout(10):
            await other.execute("UPDATE rule_epoch SET epoch = epoch + 1")
        with pytest.raises(DATABASE_ERRORS) as ended:
            await connection.fetchval("SELECT 1")
        assert classify(ended.value) is Kind.TRANSIENT
        await pool.release(connection)
        assert await pool.fetchval("SELECT 1") == 1


async def answers(pool: Pool, failures: list[BaseException]) -> bool:
    try:
        await pool.fetchval("SELECT 1")
    except DATABASE_ERRORS as error:
        failures.append(error)
        return False
    return True


async def test_who_opted_out_and_what_ended_before_an_upgrade_is_known_after_it(
    empty_database_url: str,
) -> None:
    spine = resources.files("pipeline.migrations").joinpath("0001_spine.sql").read_text("utf-8")
    async with connected(empty_database_url) as connection:
        await connection.execute(
            "CREATE TABLE schema_migration (number integer PRIMARY KEY,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await connection.execute(spine)
        await connection.execute("INSERT INTO schema_migration VALUES (1)")
        await connection.execute("INSERT INTO org (org_id, sync_user_id) VALUES ('o', 'u')")
        await connection.execute(
            "INSERT INTO rule (org_id, rule, version, object, state, source)"
            " VALUES ('o', 'r', 1, 'Lead', 'active', 'rule: r')"
        )
        await connection.executemany(
            "INSERT INTO record VALUES ('o', $1, 'Lead', 1, 0, 'c', $2, $3)",
            [
                ("out", False, '{"Email": " Ana@X.org ", "HasOptedOutOfEmail": true}'),
                ("in", False, '{"Email": "bo@x.org", "HasOptedOutOfEmail": false}'),
                ("gone", True, '{"Email": "cy@x.org"}'),
                ("loser", True, '{"MasterRecordId": "in"}'),
            ],
        )
    assert (await migrated(empty_database_url))[:2] == [2, 3]
    async with connected(empty_database_url) as connection:
        opt_outs = await connection.fetch("SELECT record_id, address, opted_out FROM opt_out")
        ends = await connection.fetch("SELECT record_id, kind, successor_id FROM record_end")
        spans = await connection.fetch("SELECT rule, version FROM rule_span")
    assert [tuple(row) for row in opt_outs] == [("out", "ana@x.org", True)]
    assert sorted(map(tuple, ends)) == [("gone", "deleted", None), ("loser", "merged", "in")]
    assert [tuple(row) for row in spans] == [("r", 1)]


async def test_a_silent_host_and_one_that_is_away_keep_nobody_from_the_one_that_serves(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "CONNECT_TIMEOUT_S", 4.0)
    with socket.create_server((LOOPBACK, 0)) as silent:
        # It takes connections, as the kernel of a machine whose programs are frozen does.
        lost = f"{LOOPBACK}:{silent.getsockname()[1]},{LOOPBACK}:{free_port()}"
        everyone = Secret(database_url.replace("@", f"@{lost},"))
        several = Hosts(everyone)
        for longest_s in (20.0, 4.0):
            began = time.monotonic()
            connection = await several.connect()
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            assert time.monotonic() - began < longest_s, "the next time it is asked first"
        async with open_pool(Database(url=everyone, pool_size=1), "test") as pool:
            assert await pool.fetchval("SELECT 1") == 1


async def test_who_finds_no_primary_hears_of_the_host_that_is_away(database_url: str) -> None:
    async with connected(database_url) as connection:
        database = await connection.fetchval("SELECT current_database()")
        await connection.execute(
            f"ALTER DATABASE {database} SET default_transaction_read_only = on"
        )
    away = f"{LOOPBACK}:{free_port()}"
    url = database_url.replace("@", f"@{away},") + "&target_session_attrs=read-write"
    with pytest.raises(ConnectionRefusedError):
        await Hosts(Secret(url)).connect()
    with pytest.raises(asyncpg.InternalClientError, match="read-write"):
        await Hosts(Secret(f"{database_url}&target_session_attrs=read-write")).connect()
