"""Records that were there before a rule that climbs from them are found all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.changes import add_org, apply_rules, received
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
from tests.salesforce import ORG_ID, callout
from workers.processor import Outcome, Processor

if TYPE_CHECKING:
    import pytest

    from pipeline.database import Pool
    from workers.lookups.sweep import Sweep

READY = "SELECT ready FROM traversal"


async def test_a_rule_applied_after_the_records_is_asked_about_them_when_their_parent_changes(
    pool: Pool, processor: Processor, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.lookups.traversals.RECORDS_PER_PAGE", 3)
    await add_org(pool)
    await changed(processor, None, account("Bank"))
    contacts = [
        contact(Id=f"0035g000000{number:04}AAA", accountid=ACCOUNT[:15], Email=f"c{number}@x.org")
        for number in range(10)
    ]
    for record in contacts:
        del record["AccountId"]
    body = callout([{"new": one} for one in contacts], object="Contact", operation="insert")
    assert await processor.process(received(body)) == Outcome(10, 0)
    await apply_rules(pool, ORG_ID, INDUSTRY)
    cause = await changed(processor, account("Bank"), account("Tech"))

    await sweep.once()
    await swept(sweep)
    assert await pool.fetchval(READY)
    assert await fired(pool) == [("tech", one["Id"], ACCOUNT, cause) for one in contacts]
    assert await left(pool) == (0, 0)


async def test_a_record_of_a_transaction_with_the_old_rules_is_not_missed(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool)
    await changed(processor, None, account("Bank"))
    # The transaction holds the rules of before, and stands still on its way to its commit.
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE record IN SHARE MODE")
        child = asyncio.create_task(changed(processor, None, contact()))
        await until_stopped(pool, "record")
        await apply_rules(pool, ORG_ID, INDUSTRY)
        await swept(sweep)
        assert await pool.fetchval(READY) is False
    await child
    await pool.execute("DELETE FROM reference")
    await swept(sweep)
    assert await pool.fetchval(READY)

    other = Processor(pool, retention_days=90)
    cause = await changed(other, account("Bank"), account("Tech"))
    await swept(sweep)
    assert await fired(pool) == [("tech", CONTACT, ACCOUNT, cause)]


async def test_references_are_kept_until_no_rule_climbs_them_and_found_again_after_that(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await swept(sweep)
    await pool.execute("UPDATE rule SET state = 'disabled'")
    await changed(processor, None, contact())
    assert await pool.fetchval("SELECT count(*) FROM reference") == 1, "no sweep has seen it yet"
    await swept(sweep)
    assert await pool.fetchval("SELECT count(*) FROM traversal") == 0

    later = contact(Id="0035g00000LaterAAA", Email="later@example.com")
    await changed(processor, None, later)
    assert await pool.fetchval("SELECT count(*) FROM reference") == 1
    await pool.execute("UPDATE rule SET state = 'active'")
    await changed(processor, account("Bank"), account("Tech"))
    await sweep.once()
    await swept(sweep)
    assert {record_id for _, record_id, *_ in await fired(pool)} == {CONTACT, later["Id"]}


async def test_a_change_waits_for_the_references_that_it_goes_by(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    await swept(sweep)
    await pool.execute("UPDATE traversal SET ready = false, horizon = '9999999'")
    await changed(processor, account("Bank"), account("Tech"))
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 1))
    await pool.execute("UPDATE traversal SET horizon = '3'")
    await swept(sweep)
    assert len(await fired(pool)) == 1


async def test_no_rule_of_lookups_writes_no_reference(pool: Pool, processor: Processor) -> None:
    async with written_by_nobody(pool, "reference"):
        await add_org(pool, ORG_ID, INDUSTRY.replace("Account.Industry", "Title"))
        await changed(processor, None, contact(Title="Tech"))
    assert len(await fired(pool)) == 1
