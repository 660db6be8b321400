"""An end that a transaction under way could not see is found again after it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from tests.integration.workers.enrollments.acts import (
    ANA,
    LEADS,
    add,
    change,
    deleted,
    merged,
    persist,
    process,
    rows,
    standings,
    sweep,
)
from workers.enrollments import recheck_ends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection, Pool
    from workers.received import ReceivedChange

GONE = (ANA, "exited", 1, "exited: its last record was deleted")
UNSETTLED = "SELECT record_id FROM record_end WHERE NOT settled ORDER BY record_id"


@contextlib.asynccontextmanager
async def open_transaction(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.acquire() as connection, connection.transaction():
        yield connection


async def until_somebody_waits(pool: Pool) -> None:
    async with asyncio.timeout(30):
        while not await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            pass


async def second_waits_for_first(pool: Pool, first: ReceivedChange, second: ReceivedChange) -> None:
    async with open_transaction(pool) as connection:
        await persist(connection, first)
        waiting = asyncio.create_task(process(pool, second))
        await until_somebody_waits(pool)
    await waiting


async def test_an_add_waits_for_the_end_of_its_record_and_sees_it(pool: Pool) -> None:
    await second_waits_for_first(pool, deleted(2), change(1, add()))
    assert await standings(pool) == [GONE]


async def test_an_end_waits_for_an_add_of_its_record_and_sees_it(pool: Pool) -> None:
    await second_waits_for_first(pool, change(1, add()), deleted(2))
    assert await standings(pool) == [GONE]


async def test_the_end_of_a_successor_finds_an_add_that_was_under_way(pool: Pool) -> None:
    await process(pool, merged(2, LEADS[1]))
    async with open_transaction(pool) as connection:
        await persist(connection, change(1, add()))
        await process(pool, deleted(3, record_id=LEADS[1]))
        # The add may commit yet: the end is looked at, and stays to be looked at.
        assert await sweep(pool) == 2
        assert await sweep(pool) == 2
        assert len(await rows(pool, UNSETTLED)) == 2
    assert (await standings(pool))[0][1] == "pending"

    assert await sweep(pool) == 2
    assert await standings(pool) == [GONE]
    assert await rows(pool, UNSETTLED) == []
    assert await sweep(pool) == 0


async def test_a_merge_and_the_end_of_its_winner_find_each_other(pool: Pool) -> None:
    await process(pool, change(1, add()))
    async with open_transaction(pool) as connection:
        await persist(connection, merged(2, LEADS[1]))
        await process(pool, deleted(3, record_id=LEADS[1]))
    assert (await standings(pool))[0][1] == "pending"
    await sweep(pool)
    assert await standings(pool) == [GONE]


async def test_an_end_is_settled_by_the_sweep_after_the_first(pool: Pool) -> None:
    await process(pool, change(1, add()), deleted(2))
    before = await rows(pool, "SELECT xmin::text, * FROM enrollment")
    assert await sweep(pool) == 1
    assert await sweep(pool) == 1
    assert await sweep(pool) == 0
    assert await rows(pool, "SELECT xmin::text, * FROM enrollment") == before


async def test_an_end_is_not_looked_at_twice_at_once(pool: Pool) -> None:
    await process(pool, deleted(1), deleted(1, record_id=LEADS[1]))
    async with pool.acquire() as connection:
        assert await recheck_ends(connection, 1) == 1
        assert await recheck_ends(connection, 1) == 1
        # Both have just been looked at.
        assert await recheck_ends(connection, 1) == 0


async def test_workers_share_the_ends(pool: Pool) -> None:
    await process(pool, *(deleted(1, record_id=record_id) for record_id in LEADS))
    async with open_transaction(pool) as connection:
        assert await recheck_ends(connection, 2) == 2
        async with pool.acquire() as other:
            assert await recheck_ends(other, 2) == 1


async def test_no_end_is_starved_by_others_that_cannot_be_settled(pool: Pool) -> None:
    await process(pool, *(deleted(1, record_id=record_id) for record_id in LEADS))
    async with open_transaction(pool) as under_way, pool.acquire() as connection:
        await under_way.execute("SELECT pg_current_xact_id()")
        seen: list[tuple[Any, ...]] = []
        for _ in LEADS:
            assert await recheck_ends(connection, 1) == 1
            seen += await rows(pool, "SELECT record_id FROM record_end WHERE horizon IS NOT NULL")
        assert len(set(seen)) == len(LEADS)
