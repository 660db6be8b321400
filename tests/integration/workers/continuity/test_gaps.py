"""What a change's own transaction finds to be missing before it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec import Raw

from ops import conditions
from tests.changes import add_org, inserted, lead, received, record_ids, updated
from tests.integration.workers.continuity.org import Lead, add_watching_org, confirm, gaps
from tests.salesforce import ORG_ID, callout, now_ms
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Pool

TO_QUALIFIED = '{"Status": ["Open", "Working"]}'


async def told_after(
    pool: Pool, processor: Processor, stored: dict[str, Any] | Raw, old: dict[str, Any] | Raw
) -> list[dict[str, list[Any]]]:
    """Return the fields of the gap between a stored lead and what the next change calls `old`."""
    at = now_ms() + 1000
    await processor.process(received(inserted(stored, captured_at=at)))
    await processor.process(received(updated(old, lead(), captured_at=at + 1)))
    return [json.loads(fields) for _, fields in await gaps(pool)]


async def test_a_change_that_does_not_follow_from_the_stored_state_shows_a_gap(
    pool: Pool, processor: Processor
) -> None:
    await add_watching_org(pool)
    one = Lead()
    await processor.process([one.created])
    await processor.process([one.qualified])
    assert await gaps(pool) == [("suspected", TO_QUALIFIED)]
    row = await pool.fetchrow("SELECT * FROM gap")
    assert row is not None
    assert (row["stored_at"], row["captured_at"]) == (one.at, one.at + 2000)
    assert json.loads(row["stored"])["Status"] == "Open"
    # Healed at once, and seen once however often the change comes.
    assert await pool.fetchval("SELECT fields->>'Status' FROM record") == "Qualified"
    await processor.process([one.qualified])
    assert len(await gaps(pool)) == 1


async def test_in_one_batch_it_is_the_same(pool: Pool, processor: Processor) -> None:
    await add_watching_org(pool)
    one = Lead()
    await processor.process([one.qualified, one.lost, one.created])
    assert await gaps(pool) == [("suspected", TO_QUALIFIED)]


async def test_changes_that_follow_from_each_other_show_none(
    pool: Pool, processor: Processor
) -> None:
    await add_watching_org(pool)
    one = Lead()
    await processor.process([one.created])
    await processor.process([one.qualified, one.working])
    # The first one of a record that nobody knows, and one that is late.
    await processor.process([one.lost])
    other = received(updated(lead(Id="00Q5g0000000001AAA", Status="Open"), lead()))
    await processor.process(other)
    assert await gaps(pool) == []


@pytest.mark.parametrize("together", [True, False])
async def test_a_workflows_second_capture_of_a_transaction_is_no_gap(
    pool: Pool, processor: Processor, *, together: bool
) -> None:
    await add_watching_org(pool)
    one = Lead()
    same = {"transaction_id": "one"}
    first = one.step("Open", "Working", one.at + 500, **same)
    again = one.step("Open", "Qualified", one.at + 600, sequence=1, **same)
    after = one.step("Qualified", "Lost", one.at + 700)
    batches = [[one.created, first, again, after]]
    if not together:
        batches = [[change] for change in batches[0]]
    for batch in batches:
        await processor.process(batch)
    assert await gaps(pool) == []


async def test_values_count_as_salesforce_means_them(pool: Pool, processor: Processor) -> None:
    await add_org(pool, ORG_ID)
    text = lead(
        AnnualRevenue=1, EmailBouncedDate="2026-05-01T12:00:00.000+0000", OwnerId="0055g00000AbCdE"
    )
    stored = Raw(msgspec.json.encode(text).replace(b":1,", b":1.0,"))
    old = {
        **text,
        "EmailBouncedDate": "2026-05-01T12:00:00.250Z",
        "OwnerId": "0055g00000AbCdEAAV",
        "Fax": None,
        "Title": "",
        "SystemModstamp": "2026-05-01T12:00:00Z",
        "LastModifiedDate": "2026-05-01T12:00:00Z",
    }
    assert await told_after(pool, processor, stored, old) == []


async def test_without_conditions_every_field_is_watched_but_formulas(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID)
    describe = {
        "name": "Lead",
        "fields": [{"name": "Score__c", "type": "double", "calculated": True}],
    }
    async with pool.acquire() as connection:
        files = [("lead.json", msgspec.json.encode(describe))]
        await conditions.describe(connection, ORG_ID, files)
    stored, old = lead(Score__c=1, Rating="Hot"), lead(Score__c=2, Fax="1\u0000")
    expected = [{"Fax": [None, "1\x1a0000"], "Rating": ["Hot", None]}]
    assert await told_after(pool, processor, stored, old) == expected


async def test_with_conditions_other_fields_heal_uncounted(
    pool: Pool, processor: Processor
) -> None:
    await add_watching_org(pool)
    assert await told_after(pool, processor, lead(Rating="Hot"), lead(Rating="Cold")) == []


async def test_a_field_that_was_not_watched_then_shows_nothing(
    pool: Pool, processor: Processor
) -> None:
    await add_watching_org(pool)
    at = now_ms()
    await processor.process(received(inserted(lead(Rating="Hot"), captured_at=at)))
    async with pool.acquire() as connection:
        await conditions.watch(connection, ORG_ID, ["Lead.Rating"])
    await pool.execute(
        "UPDATE conditions_span SET since = to_timestamp($1) WHERE conditions ? 'Lead'"
        " AND conditions -> 'Lead' ? 'Rating'",
        at / 1000 + 60,
    )
    await processor.process(
        received(updated(lead(Rating="Cold"), lead(Rating="Warm"), captured_at=at + 60_100))
    )
    assert await gaps(pool) == []
    # From then on it is.
    await processor.process(
        received(updated(lead(Rating="Cold"), lead(Rating="Hot"), captured_at=at + 60_200))
    )
    assert [json.loads(fields) for _, fields in await gaps(pool)] == [{"Rating": ["Warm", "Cold"]}]


@pytest.mark.parametrize("old", [b'{"Id":"00Q5g00000HotLdEAJ","Status":1e999999}', b"[1]", b"5"])
async def test_an_odd_old_state_harms_nobody(pool: Pool, processor: Processor, old: bytes) -> None:
    await add_org(pool, ORG_ID)
    async with pool.acquire() as connection:
        await conditions.watch(connection, ORG_ID, ["Lead.Status"])
    at = now_ms() + 1000
    await processor.process(received(inserted(lead(), captured_at=at)))
    outcome = await processor.process(received(updated(Raw(old), lead(), captured_at=at + 1)))
    assert outcome.committed_count == 1


async def test_a_snapshot_in_between_heals_without_a_gap(pool: Pool, processor: Processor) -> None:
    await add_watching_org(pool)
    one = Lead()
    modstamp = (one.at + 1000) // 1000 * 1000
    snapshot = received(
        callout(
            [{"old": None, "new": one.state("Working", SystemModstamp=_iso(modstamp))}],
            operation="snapshot",
            captured_at=one.at + 1500,
            read_at=one.at + 1500,
            request_id=1,
        )
    )
    await processor.process([one.created])
    await processor.process(snapshot)
    await processor.process([one.qualified])
    assert await gaps(pool) == []


def _iso(at: int) -> str:
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat()


async def test_parallel_batches_full_of_gaps_neither_deadlock_nor_count_twice(pool: Pool) -> None:
    await add_watching_org(pool)
    at = now_ms() + 1000
    records = list(islice(record_ids(), 20))
    changes = received(
        *(inserted(lead(Id=one, Status="0"), captured_at=at) for one in records),
        *(
            updated(
                lead(Id=one, Status=f"{2 * step - 1}"),
                lead(Id=one, Status=f"{2 * step}"),
                captured_at=at + step,
            )
            for one in records
            for step in range(1, 4)
        ),
    )

    async def work(seed: int) -> None:
        random, mine = Random(seed), list(changes)
        random.shuffle(mine)
        processor = Processor(pool, retention_days=90, gap_confirm_s=0.001)
        while mine:
            # Sweeps confirm what others are about to fill.
            await confirm(pool)
            size = random.randint(1, 20)
            await processor.process(mine[:size])
            del mine[:size]

    # A deadlock would be raised: nobody tries again here.
    await asyncio.gather(*(work(seed) for seed in range(4)))
    found = await pool.fetchrow(
        "SELECT count(*), count(DISTINCT (record_id, captured_at)) AS distinct FROM gap"
    )
    assert found is not None
    assert 0 < found["count"] == found["distinct"] <= 60
