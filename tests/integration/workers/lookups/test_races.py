"""A child and a parent in transactions that do not see each other: neither order loses a firing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.settings import Worker
from tests.changes import add_org
from tests.integration.workers.lookups.org import (
    ACCOUNT,
    CONTACT,
    INDUSTRY,
    account,
    changed,
    contact,
    fired,
    left,
    swept,
    until_stopped,
    written_by_nobody,
)
from tests.salesforce import ORG_ID
from workers.lookups.sweep import Sweep
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Pool


async def test_a_parent_that_comes_between_a_childs_look_and_its_commit_ends_the_wait(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    async with written_by_nobody(pool, "waiting"):
        child = asyncio.create_task(changed(processor, None, contact()))
        await until_stopped(pool, "waiting")
        await changed(Processor(pool, retention_days=90), None, account("Tech"))
        await swept(sweep)
    transaction = await child
    await swept(sweep)
    assert await fired(pool) == [("tech", CONTACT, None, transaction)]
    assert await left(pool) == (0, 0)


@pytest.mark.parametrize("begins_first", ["child", "parent"])
async def test_a_child_that_read_its_parent_before_the_change_committed_is_asked_again(
    pool: Pool, processor: Processor, sweep: Sweep, begins_first: str
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await swept(sweep)
    other = Processor(pool, retention_days=90)
    async with written_by_nobody(pool, "reference"):
        if begins_first == "child":
            child = asyncio.create_task(changed(processor, None, contact()))
            await until_stopped(pool, "reference")
            cause = await changed(other, account("Bank"), account("Tech"))
        else:
            # The parent's transaction has the lower id, and the child's does not see its row.
            async with written_by_nobody(pool, "reevaluation"):
                parent = asyncio.create_task(changed(other, account("Bank"), account("Tech")))
                await until_stopped(pool, "reevaluation")
                child = asyncio.create_task(changed(processor, None, contact()))
                await until_stopped(pool, "reference")
            cause = await parent
        await swept(sweep)
        assert await left(pool) == (0, 1), "whoever missed the change has not committed yet"
    await child
    assert await fired(pool) == []

    for _ in range(2):
        await swept(sweep)
        assert await fired(pool) == [("tech", CONTACT, ACCOUNT, cause)]
        assert await left(pool) == (0, 0)


async def test_a_transaction_that_goes_on_and_on_delays_no_one_else(
    pool: Pool, processor: Processor, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.lookups.turns._PATIENCE_S", 0.0)
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    await swept(sweep)
    late = contact(Id="0035g00000LateXAAA", Email="late@example.com")
    async with written_by_nobody(pool, "reference"):
        child = asyncio.create_task(changed(processor, None, late))
        await until_stopped(pool, "reference")
        cause = await changed(Processor(pool, retention_days=90), account("Bank"), account("Tech"))
        await swept(sweep)
        assert await fired(pool) == [("tech", CONTACT, ACCOUNT, cause)]
        assert await left(pool) == (0, 1)
    await child
    await swept(sweep)
    assert {record_id for _, record_id, *_ in await fired(pool)} == {CONTACT, late["Id"]}
    assert await left(pool) == (0, 0)


async def test_sweeps_of_several_workers_at_once_have_each_effect_once(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    for number in range(40):
        record = contact(Id=f"0035g000000{number:04}AAA", Email=f"c{number}@x.org")
        await changed(processor, None, record)
    await changed(processor, account("Bank"), account("Tech"))
    sweeps = [Sweep(pool, Worker()) for _ in range(4)]
    while (await left(pool))[1]:
        await asyncio.gather(*(swept(sweep) for sweep in sweeps))
    assert len(await fired(pool)) == 40
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 40
