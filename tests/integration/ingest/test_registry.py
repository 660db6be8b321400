from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from ingest import registry as registry_module
from ingest.registry import Registry
from pipeline.database import following as module
from pipeline.settings import Secret
from pipeline.signing import key_of, new_secret
from tests.servers import database_at, execute, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from ingest.registry import Org
    from pipeline.key_ring import KeyRing

ORG_ID = "00D5g000004XyzAEAS"
OTHER_ID = "00D5g000004OthrEAS"
ADD = "INSERT INTO org (org_id, sync_user_id) VALUES ('{}', '0055g00000AbCdEAAV')"
# Well before the registry would look by itself.
TOLD_WITHIN_S = module.REFRESH_S / 3
CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'penstock ingest registry' AND datname = current_database()"""


@asynccontextmanager
async def running(database_url: str) -> AsyncIterator[Registry]:
    registry = Registry(Secret(database_url))
    stop = asyncio.Event()
    task = asyncio.create_task(registry.run(stop))
    try:
        yield registry
        assert not task.done()
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def allow_connections(database_url: str, *, allowed: bool) -> None:
    """Have the server take no new connections to the database, as one that is away would."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    await execute(
        database_at(database_url, "postgres"), f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"
    )


async def test_it_is_stale_until_it_was_read_and_then_knows_the_orgs(database_url: str) -> None:
    secret, next_secret = new_secret(), new_secret()
    await execute(database_url, ADD.format(ORG_ID))
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE org SET secret = $1, next_secret = $2", secret, next_secret)
    await connection.close()
    assert Registry(Secret(database_url)).stale
    async with running(database_url) as registry:
        assert registry.problem() == "the org registry was never read"
        await until(lambda: not registry.stale)
        assert registry.problem() is None
        org = registry.get(ORG_ID)
        assert org is not None
        assert org.connected
        assert org.keys == (key_of(secret), key_of(next_secret))
        assert bytes(org.conditions) == b"{}"
        assert registry.get(OTHER_ID) is None
    assert registry.stale


async def test_it_is_told_of_every_kind_of_change(database_url: str) -> None:
    async with running(database_url) as registry:
        await until(lambda: not registry.stale)
        await execute(database_url, ADD.format(ORG_ID))
        await until(lambda: registry.get(ORG_ID) is not None, TOLD_WITHIN_S)
        await execute(database_url, "UPDATE org SET paused = true")
        await until(lambda: (org := registry.get(ORG_ID)) is not None and org.paused, TOLD_WITHIN_S)
        await execute(database_url, "DELETE FROM org")
        await until(lambda: registry.get(ORG_ID) is None, TOLD_WITHIN_S)


async def test_however_many_orgs_there_are_it_lets_others_work_after_a_page(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 4 * registry_module.PAGE_COUNT
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """INSERT INTO org (org_id, sync_user_id)
           SELECT 'org' || n, '0055g00000AbCdEAAV' FROM generate_series(1, $1::integer) AS n""",
        count,
    )
    turn = 0

    async def work() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    read_in: Counter[int] = Counter()
    make = registry_module._org  # noqa: SLF001  called once an org

    def noted(row: asyncpg.Record, ring: KeyRing) -> Org:
        read_in[turn] += 1
        return make(row, ring)

    monkeypatch.setattr(registry_module, "_org", noted)
    registry = Registry(Secret(database_url))
    working = asyncio.create_task(work())
    try:
        await registry.read(connection)
    finally:
        working.cancel()
        await connection.close()
    assert read_in.total() == count
    assert registry.get(f"org{count}") is not None
    assert max(read_in.values()) <= registry_module.PAGE_COUNT


async def test_it_reads_again_by_itself(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.05)
    await execute(database_url, "ALTER TABLE org DISABLE TRIGGER ALL")
    async with running(database_url) as registry:
        await until(lambda: not registry.stale)
        await execute(database_url, ADD.format(ORG_ID))
        await until(lambda: registry.get(ORG_ID) is not None)


async def test_what_changed_during_an_outage_is_read_after_it(database_url: str) -> None:
    await execute(database_url, ADD.format(ORG_ID))
    async with running(database_url) as registry:
        await until(lambda: not registry.stale)
        operator = await asyncpg.connect(database_url)
        try:
            await allow_connections(database_url, allowed=False)
            await operator.execute(CUT_OFF)
            await until(lambda: registry.stale)
            # What is known goes on being served.
            assert registry.get(ORG_ID) is not None
            assert registry.problem() is None
            await operator.execute(ADD.format(OTHER_ID))
            await allow_connections(database_url, allowed=True)
        finally:
            await operator.close()
        await until(lambda: registry.get(OTHER_ID) is not None, TOLD_WITHIN_S)
        assert not registry.stale


async def test_being_cut_off_in_the_middle_of_reading_is_an_outage_too(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Read without a pause, so that the server closes connections at every point of a statement.
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    monkeypatch.setattr(module, "_RECONNECT_S", 0.0)
    async with running(database_url) as registry:
        operator = await asyncpg.connect(database_url)
        try:
            for _ in range(50):
                await until(lambda: not registry.stale)
                await operator.execute(CUT_OFF)
        finally:
            await operator.close()
        await until(lambda: not registry.stale)


async def test_it_waits_for_the_migrations_of_its_version_and_says_so(database_url: str) -> None:
    await execute(database_url, "UPDATE schema_migration SET number = 9999 WHERE number = 1")
    async with running(database_url) as registry:
        await until(lambda: "lacks 1 of" in (registry.problem() or ""))
        assert registry.stale
        await execute(database_url, "UPDATE schema_migration SET number = 1 WHERE number = 9999")
        await until(lambda: registry.problem() is None)


async def test_it_says_that_the_database_is_too_new_for_its_version(database_url: str) -> None:
    await execute(database_url, "INSERT INTO schema_migration VALUES (9999, now(), 9998)")
    async with running(database_url) as registry:
        await until(lambda: "at least 9998" in (registry.problem() or ""))
