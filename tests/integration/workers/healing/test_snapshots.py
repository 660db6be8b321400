"""States that were read: stored beside changes, never over newer ones, never in the history."""

from __future__ import annotations

import asyncio
import json
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from msgspec import Raw

from pipeline import callout as contract
from pipeline.objects import long_id
from pipeline.settings import Worker
from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, record_ids, updated
from tests.integration.workers.lookups.org import ACCOUNT, INDUSTRY, account, contact
from tests.salesforce import LEAD_ID, ORG_ID, callout, now_ms
from tests.snapshots import SETTLED_AFTER_MS, absence, datetime_of, snapshot
from workers.lookups.sweep import Sweep
from workers.processor import Outcome, Processor

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

READ_RULE: Final = QUALIFIED_RULE.replace("rule: qualified", "rule: read").replace(
    "[insert, update, undelete]", "[snapshot]"
)
HOUR_MS: Final = 3_600_000
SETTLED: Final = SETTLED_AFTER_MS + 1000


def lead_of(moment: int, **fields: Any) -> dict[str, Any]:
    """Return a qualified lead as it last changed in the second of `moment`."""
    return lead(SystemModstamp=datetime_of(moment), **fields)


async def count(pool: Pool, table: str) -> int:
    found: int = await pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608  a name of ours
    return found


async def process(processor: Processor, *callouts: object) -> None:
    """Process callouts one after another."""
    for one in callouts:
        changes = received(one)
        assert await processor.process(changes) == Outcome(len(changes), 0)


async def stands(pool: Pool, record_id: str = LEAD_ID) -> tuple[bool, object]:
    row = await pool.fetchrow(
        "SELECT deleted, fields->>'Status' AS status FROM record WHERE record_id = $1", record_id
    )
    assert row is not None
    return row["deleted"], row["status"]


async def fired(pool: Pool) -> list[str]:
    rows = await pool.fetch("SELECT rule FROM firing ORDER BY captured_at, rule")
    return [row["rule"] for row in rows]


async def test_an_unknown_record_is_stored_as_it_was_read_and_is_not_in_the_history(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    # Years before the history begins.
    record = lead_of(1_000_000_000_999, Name="half \ud83d")
    # Escaped, as Apex writes half a surrogate pair.
    await process(processor, json.dumps(snapshot(record)).encode())

    row = await pool.fetchrow("SELECT * FROM record")
    assert row is not None
    assert (row["org_id"], row["object"], row["deleted"]) == (ORG_ID, "Lead", False)
    assert row["captured_at"] == 1_000_000_000_999
    assert msgspec.json.decode(row["fields"])["Name"] == "half \x1ad83d"
    assert (await count(pool, "change"), await fired(pool)) == (0, [])


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_state_never_takes_the_place_of_a_newer_change_and_that_of_an_older_one_at_once(
    pool: Pool, processor: Processor, *, is_first: bool
) -> None:
    await add_org(pool, ORG_ID)
    at = now_ms() - HOUR_MS
    for number, (modstamp, read_at, status) in enumerate(
        [
            (at - 1000, at + HOUR_MS, "Told"),
            (at, at + SETTLED_AFTER_MS - 1, "Told"),
            (at, at + SETTLED_AFTER_MS, "Read"),
            (at + 1000, at + 1000, "Read"),
        ]
    ):
        record_id = long_id(f"00Q5g0000000{number}00")
        told = [
            inserted(lead(Id=record_id, Status="Told"), captured_at=at),
            snapshot(lead_of(modstamp, Id=record_id, Status="Read"), read_at=read_at),
        ]
        await process(processor, *(reversed(told) if is_first else told))
        assert await stands(pool, record_id) == (False, status), number


async def test_a_state_fires_the_rules_that_ask_for_states_once_however_often_it_is_read(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE, READ_RULE)
    at = now_ms() - 2 * HOUR_MS
    page = snapshot(lead_of(at), read_at=at + HOUR_MS)
    await process(processor, page, page, snapshot(lead_of(at)), snapshot(lead_of(at, Rating="?")))
    assert await fired(pool) == ["read-to-nurture"]
    assert await count(pool, "outbox") == 1

    # A change is none that was read; the state that it leaves is another one.
    await process(processor, updated(lead(), lead(Rating="Hot"), captured_at=at + 60_000))
    assert await fired(pool) == ["read-to-nurture", "qualified-to-nurture"]
    await process(processor, snapshot(lead_of(at + 60_000, Rating="Hot")))
    assert await fired(pool) == ["read-to-nurture", "qualified-to-nurture", "read-to-nurture"]
    # What is older than what is stored is of no interest any more.
    await process(processor, snapshot(lead_of(at - 5000), read_at=at - 4000))
    assert len(await fired(pool)) == 3


async def test_dates_count_from_when_a_state_was_read(pool: Pool, processor: Processor) -> None:
    rule = READ_RULE.replace("Status, equals: Qualified", "Ends__c, before: 7 days from now")
    await add_org(pool, ORG_ID, rule)
    at = now_ms()
    ends = datetime_of(at + 3 * 24 * HOUR_MS)[:10]
    long_ago = at - 400 * 24 * HOUR_MS
    other = lead_of(long_ago, Id="00Q5g00000NewLdEAJ", Email="b@x.org", Ends__c=ends)

    await process(
        processor,
        snapshot(other, read_at=at - 30 * 24 * HOUR_MS),
        snapshot(lead_of(long_ago, Ends__c=ends)),
    )
    rows = await pool.fetch("SELECT record_id FROM firing")
    assert [row["record_id"] for row in rows] == [LEAD_ID]


async def test_a_rule_that_waits_for_a_parent_decides_once_that_was_read_too(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY.replace("[insert, update, undelete]", "[snapshot]"))
    sweep, at = Sweep(pool, Worker()), now_ms() - HOUR_MS
    child = contact(SystemModstamp=datetime_of(at))
    pages = [snapshot(child, object="Contact", read_at=at + later) for later in (SETTLED, HOUR_MS)]
    await process(processor, *pages)
    await sweep.once()
    assert (await fired(pool), await count(pool, "waiting") > 0) == ([], True)

    parent = account("Tech", SystemModstamp=datetime_of(at))
    await process(processor, snapshot(parent, object="Account"))
    for _ in range(3):
        await sweep.once()
    assert await fired(pool) == ["tech"]
    assert await pool.fetchval("SELECT count(*) FROM waiting WHERE state = 'waiting'") == 0
    assert parent["Id"] == ACCOUNT


async def test_what_was_asked_for_and_is_not_there_leaves_a_tombstone_and_ends_its_record(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    at = now_ms() - HOUR_MS
    await process(processor, inserted(lead(Status="Qualified"), captured_at=at))
    assert await pool.fetchval("SELECT state FROM enrollment") == "pending"

    # Too early to tell; of nobody that is stored.
    await process(processor, absence(LEAD_ID, read_at=at + SETTLED_AFTER_MS - 1))
    await process(processor, absence("00Q5g00000NewLdEAJ", why="not found"))
    assert await stands(pool) == (False, "Qualified")
    assert (await count(pool, "record"), await count(pool, "record_end")) == (1, 0)

    gone = absence(LEAD_ID[:15], read_at=at + SETTLED_AFTER_MS, why="not found")
    await process(processor, gone, gone, absence(LEAD_ID))
    assert await stands(pool) == (True, "Qualified")
    assert [tuple(row) for row in await pool.fetch("SELECT kind, captured_at FROM record_end")] == [
        ("deleted", at)
    ]
    assert await pool.fetchval("SELECT state FROM enrollment") == "exited"
    assert await count(pool, "change") == 1


async def test_what_is_gone_is_gone_until_it_was_asked_for_whatever_arrives_of_the_time_between(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID)
    at = now_ms() - 3 * HOUR_MS
    await process(
        processor,
        callout([{"old": lead()}], operation="delete", captured_at=at),
        absence(LEAD_ID, read_at=at + 2 * HOUR_MS),
        # Brought back and deleted again without a trigger; a page of then comes late.
        snapshot(lead_of(at + HOUR_MS, Status="Back"), read_at=at + HOUR_MS + 1000),
    )
    assert (await stands(pool))[0]
    assert await count(pool, "record_end") == 1

    await process(processor, snapshot(lead_of(at + 2 * HOUR_MS, Status="Back again")))
    assert await stands(pool) == (False, "Back again")


async def test_a_bad_state_is_a_dead_letter_of_which_the_same_state_can_be_read_again(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, READ_RULE)
    at = now_ms() - HOUR_MS
    ids = list(islice(record_ids(), 5))
    # More digits than any number of PostgreSQL has.
    records = [lead_of(at, Id=one, Worth=Raw(b"1e200000") if one == ids[2] else 1) for one in ids]
    changes = received(snapshot(*records, request_id=7, total=5), absence(LEAD_ID))

    assert await processor.process(changes) == Outcome(5, 1)
    assert (await count(pool, "record"), len(await fired(pool))) == (4, 4)
    row = await pool.fetchrow("SELECT * FROM dead_letter")
    assert row is not None
    assert (row["record_id"], row["operation"]) == (ids[2], "snapshot")
    contract.check(row["original"])
    (replayed,) = received(row["original"])
    assert replayed.reading == changes[2].reading
    assert (replayed.key, replayed.order, replayed.new) == (
        changes[2].key,
        changes[2].order,
        changes[2].new,
    )


def history(seed: int) -> list[ReceivedChange]:
    """Return changes, states and absences of some leads, in an order of its own."""
    random = Random(seed)
    at = now_ms() - 2 * HOUR_MS
    callouts: list[dict[str, Any]] = []
    for index, record_id in enumerate(islice(record_ids(), 20)):
        one = lead(Id=record_id, Email=f"lead{index % 12}@x.org")
        callouts.append(inserted({**one, "Step": 0}, captured_at=at))
        callouts.append(updated({**one, "Step": 0}, {**one, "Step": 1}, captured_at=at + 1000))
        state = {**one, "Step": 2, "SystemModstamp": datetime_of(at + 5000)}
        callouts.append(snapshot(state, read_at=at + 6000, request_id=1))
        if index % 2:
            callouts.append(absence(record_id, read_at=at + HOUR_MS, request_id=1))
    changes = received(*callouts)
    random.shuffle(changes)
    return changes


async def test_parallel_batches_of_changes_states_and_absences_do_not_deadlock(pool: Pool) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE, READ_RULE)
    everything = history(0)

    async def work(seed: int) -> None:
        random = Random(seed)
        mine = list(everything)
        random.shuffle(mine)
        processor = Processor(pool, retention_days=90)
        while mine:
            # Nobody tries again here: a deadlock would be raised.
            size = random.randint(1, 25)
            await processor.process(mine[:size])
            del mine[:size]
        # An absence may have come before its record: whoever asks, asks again.
        await processor.process([one for one in everything if one.is_absent])

    await asyncio.gather(*(work(seed) for seed in range(4)))
    rows = await pool.fetch(
        "SELECT deleted, fields->>'Step' AS step FROM record ORDER BY record_id"
    )
    assert [row["deleted"] for row in rows] == [index % 2 == 1 for index in range(20)]
    assert {row["step"] for row in rows if not row["deleted"]} == {"2"}
    assert await count(pool, "change") == 40
