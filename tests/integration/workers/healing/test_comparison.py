"""Ranges of an org's records against what is stored of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pipeline.objects import KEY_PREFIXES, SObject, long_id
from pipeline.requests import withdraw_audit
from tests.changes import OTHER_ORG_ID, add_org
from tests.integration.workers.healing.org import (
    AT,
    HOUR_MS,
    acknowledge,
    begin,
    findings,
    leads,
    store,
    told,
)
from tests.salesforce import ORG_ID, now_ms
from tests.snapshots import SETTLED_AFTER_MS
from workers.healing.comparison import Comparison

if TYPE_CHECKING:
    from pipeline.database import Pool

COUNTS = "SELECT compared_count, stored_count FROM audit_object WHERE object = $1"
READ_AT = AT + 12 * HOUR_MS


@pytest.fixture
async def comparison(pool: Pool) -> Comparison:
    await add_org(pool)
    return Comparison(pool)


async def counts(pool: Pool, sobject: SObject = SObject.LEAD) -> tuple[int, int]:
    row = await pool.fetchrow(COUNTS, sobject)
    assert row is not None
    return row["compared_count"], row["stored_count"]


async def test_what_differs_is_found_and_what_is_equal_is_not(
    pool: Pool, comparison: Comparison
) -> None:
    equal, newer, stale, missing, extra = leads(5)
    await store(pool, [equal, extra])
    # A change is captured within the second that SystemModstamp tells.
    await store(pool, [newer], at=AT + 999)
    await store(pool, [stale], at=AT - 1)
    _, (request_id,) = await begin(pool)
    await comparison.compare(told(request_id, [equal, newer, stale, missing]))

    assert await findings(pool) == {stale: "stale", missing: "missing", extra: "extra"}
    rows = await pool.fetch("SELECT kind, modstamp, stored_at FROM audit_finding ORDER BY kind")
    assert [tuple(row) for row in rows] == [
        ("extra", None, AT),
        ("missing", AT, None),
        ("stale", AT, AT - 1),
    ]
    assert await counts(pool) == (4, 4)


async def test_what_changed_within_15_minutes_of_the_reading_may_be_absent_from_it(
    pool: Pool, comparison: Comparison
) -> None:
    settled, recent, coming = leads(3)
    await store(pool, [settled], at=READ_AT - SETTLED_AFTER_MS - 1)
    await store(pool, [recent], at=READ_AT - SETTLED_AFTER_MS)
    await store(pool, [coming], at=READ_AT + 1)
    _, (request_id,) = await begin(pool)
    await comparison.compare(told(request_id, []))
    assert await findings(pool) == {settled: "extra"}


async def test_a_tombstone_of_what_is_there_is_a_missing_record_unless_it_may_have_gone_since(
    pool: Pool, comparison: Comparison
) -> None:
    brought_back, gone_since, back_at_once, gone = leads(4)
    await store(pool, [brought_back, gone], deleted=True)
    await store(pool, [gone_since], at=READ_AT - SETTLED_AFTER_MS, deleted=True)
    await store(pool, [back_at_once], at=READ_AT - 2000, deleted=True)
    _, (request_id,) = await begin(pool)
    first = told(request_id, [brought_back, gone_since], to=gone_since)
    await comparison.compare(first)
    last = told(request_id, [back_at_once], after=gone_since, modstamp=READ_AT - 1000)
    await comparison.compare(last)

    assert await findings(pool) == {brought_back: "missing", back_at_once: "missing"}
    assert await counts(pool) == (3, 0)


async def test_a_range_is_open_below_and_closed_above_and_its_ends_see_no_other_object(
    pool: Pool, comparison: Comparison
) -> None:
    # The lowest and the highest ids that there can be, and those of the neighbours.
    ids = [
        long_id(f"{KEY_PREFIXES[SObject.LEAD]}{end * 12}") for end in ("0", "5", "A", "Z", "a", "z")
    ]
    await store(pool, ids)
    for sobject, prefix in KEY_PREFIXES.items():
        if sobject is not SObject.LEAD:
            neighbours = [long_id(f"{prefix}{end * 12}") for end in "0z"]
            await store(pool, neighbours, sobject=sobject)
    await pool.execute(
        "INSERT INTO org (org_id, sync_user_id) SELECT $1, sync_user_id FROM org", OTHER_ORG_ID
    )
    await pool.execute(
        "INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,"
        " fields) SELECT $1, '00Q5g0000000000AAA', 'Lead', 0, 0, 'c', false, '{}'",
        OTHER_ORG_ID,
    )
    _, (request_id,) = await begin(pool)

    await comparison.compare(told(request_id, [], after=ids[1], to=ids[3]))
    assert await findings(pool) == dict.fromkeys(ids[2:4], "extra")
    await comparison.compare(told(request_id, [], to=ids[1]))
    assert await findings(pool) == dict.fromkeys(ids[:4], "extra")
    await comparison.compare(told(request_id, [], after=ids[3]))
    assert await findings(pool) == dict.fromkeys(ids, "extra")
    assert await counts(pool) == (0, 6)


async def test_a_range_that_comes_again_counts_once_and_one_that_overlaps_finds_nothing_twice(
    pool: Pool, comparison: Comparison
) -> None:
    ids = leads(4)
    _, (request_id,) = await begin(pool)
    first = told(request_id, ids[:2], to=ids[1])
    await asyncio.gather(*(comparison.compare(first) for _ in range(3)))
    await comparison.compare(first)
    assert await counts(pool) == (2, 0)
    row = await pool.fetchrow("SELECT cursor, sent_count, total_count FROM request")
    assert row is not None
    assert tuple(row) == (ids[1], 2, None)

    await comparison.compare(told(request_id, ids[1:], after=ids[0]))
    assert await findings(pool) == dict.fromkeys(ids, "missing")
    # The end of an object is no id to go on after.
    assert await pool.fetchval("SELECT cursor FROM request") == ids[1]


async def test_what_nobody_asked_for_or_asks_for_any_more_is_ignored(
    pool: Pool, comparison: Comparison
) -> None:
    ids = leads(1)
    audit_id, (request_id,) = await begin(pool)
    await comparison.compare(told(request_id + 1, ids))
    await comparison.compare(told(request_id, [], sobject=SObject.ACCOUNT))
    async with pool.acquire() as connection:
        await withdraw_audit(connection, ORG_ID, audit_id)
    await comparison.compare(told(request_id, ids))

    assert (await findings(pool), await counts(pool)) == ({}, (0, 0))
    assert await pool.fetchval("SELECT count(*) FROM audit_range") == 0


async def test_what_was_on_its_way_when_the_org_had_sent_all_is_compared(
    pool: Pool, comparison: Comparison
) -> None:
    ids = leads(1)
    _, (request_id,) = await begin(pool)
    await acknowledge(pool, request_id)
    await comparison.compare(told(request_id, ids))
    assert await findings(pool) == {ids[0]: "missing"}


async def test_an_org_whose_clock_is_ahead_loses_nothing_that_has_just_come(
    pool: Pool, comparison: Comparison
) -> None:
    (recent,) = leads(1)
    await store(pool, [recent], at=now_ms() - 60_000)
    _, (request_id,) = await begin(pool)
    await comparison.compare(told(request_id, [], read_at=now_ms() + 24 * HOUR_MS))
    assert await findings(pool) == {}
