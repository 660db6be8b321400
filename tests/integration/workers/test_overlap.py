"""Workers that process the same changes at once neither deadlock nor lose anything."""

from __future__ import annotations

import asyncio
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw

from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, record_ids, updated
from tests.salesforce import ORG_ID, now_ms
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

RECORD_COUNT = 30
STEP_COUNT = 4
WORKER_COUNT = 4


def history() -> list[ReceivedChange]:
    """Return the changes of some leads, every third of whom shares an address with another."""
    at = now_ms() - 10_000
    callouts = []
    for index, record_id in enumerate(islice(record_ids(), RECORD_COUNT)):
        states = [
            lead(Id=record_id, Email=f"lead{index % 20}@x.org", Step=step)
            for step in range(STEP_COUNT)
        ]
        callouts.append(inserted(states[0], captured_at=at))
        callouts += [
            updated(states[step - 1], states[step], captured_at=at + step)
            for step in range(1, STEP_COUNT)
        ]
    return received(*callouts)


async def work(pool: Pool, changes: list[ReceivedChange], seed: int) -> None:
    """Process all changes in an order and in batches of one's own."""
    random = Random(seed)
    mine = list(changes)
    random.shuffle(mine)
    processor = Processor(pool, retention_days=90)
    while mine:
        size = random.randint(1, 40)
        await processor.process(mine[:size])
        del mine[:size]


async def test_overlapping_batches_neither_deadlock_nor_lose(pool: Pool) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    changes = history()
    for round_ in range(4):
        # A deadlock would be raised: nobody tries again here.
        await asyncio.gather(
            *(work(pool, changes, seed) for seed in range(round_ * 10, round_ * 10 + WORKER_COUNT))
        )
        if round_ < 3:
            await pool.execute(
                "TRUNCATE change, record, firing, enrollment_event, enrollment, outbox"
            )

    assert await pool.fetchval("SELECT count(*) FROM change") == RECORD_COUNT * STEP_COUNT
    newest = await pool.fetch("SELECT fields->>'Step' AS step FROM record")
    assert [row["step"] for row in newest] == [str(STEP_COUNT - 1)] * RECORD_COUNT
    assert await pool.fetchval("SELECT count(*) FROM firing") == RECORD_COUNT * STEP_COUNT
    assert await pool.fetchval("SELECT count(*) FROM enrollment WHERE generation = 1") == 20
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 20


def partly_bad() -> tuple[list[ReceivedChange], int]:
    """Return inserted leads, a tenth of which no database takes, and how many those are."""
    callouts = []
    bad_count = 0
    for index, record_id in enumerate(islice(record_ids(), 60)):
        one = lead(Id=record_id, Email=f"lead{index % 20}@x.org")
        if index % 10 == 3:
            # JSON allows it; PostgreSQL's numeric ends at 131,072 digits.
            text = msgspec.json.encode(one)[:-1] + b',"AnnualRevenue":1e999999}'
            callouts.append(inserted(Raw(text)))
            bad_count += 1
        else:
            callouts.append(inserted(one))
    return received(*callouts), bad_count


async def test_overlapping_batches_with_bad_changes_lose_the_bad_ones_alone(pool: Pool) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    changes, bad_count = partly_bad()
    for round_ in range(4):
        # A deadlock would be raised: nobody tries again here.
        await asyncio.gather(
            *(work(pool, changes, seed) for seed in range(round_ * 10, round_ * 10 + WORKER_COUNT))
        )
        counts = await pool.fetchrow("""
            SELECT (SELECT count(*) FROM change), (SELECT count(*) FROM record),
                   (SELECT count(*) FROM firing), (SELECT count(*) FROM dead_letter),
                   (SELECT count(*) FROM dead_letter WHERE reason = 'refused_by_database')""")
        assert counts is not None
        good_count = len(changes) - bad_count
        assert tuple(counts) == (good_count, good_count, good_count, bad_count, bad_count)
        await pool.execute(
            "TRUNCATE change, record, firing, enrollment_event, enrollment, outbox, dead_letter"
        )
