"""A change that the database can never take is told apart from its neighbours."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline import callout as contract
from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, record_ids
from tests.salesforce import ORG_ID
from workers.processor import Outcome

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor
    from workers.received import ReceivedChange

# More digits than any number of PostgreSQL has.
BAD = msgspec.Raw(b"1e200000")


def batch_of(count: int, bad: set[int]) -> list[ReceivedChange]:
    return received(
        *(
            inserted(lead(Id=record_id, Worth=BAD if index in bad else 1, Email=f"l{index}@x.org"))
            for index, record_id in enumerate(islice(record_ids(), count))
        )
    )


@pytest.mark.parametrize("bad", [{0}, {117}, {3, 4, 99, 199}, set(range(200))])
async def test_bad_changes_become_dead_letters_and_their_neighbours_are_committed(
    pool: Pool, processor: Processor, bad: set[int]
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    batch = batch_of(200, bad)

    assert await processor.process(batch) == Outcome(200 - len(bad), len(bad))

    good = {change.record_id for index, change in enumerate(batch) if index not in bad}
    for table in ("change", "record", "firing"):
        rows = await pool.fetch(f"SELECT record_id FROM {table}")  # noqa: S608  a name of ours
        assert {row["record_id"] for row in rows} == good
    assert await pool.fetchval("SELECT count(*) FROM outbox") == len(good)
    dead = await pool.fetch("SELECT record_id, reason, error FROM dead_letter")
    assert {row["record_id"] for row in dead} == {batch[index].record_id for index in bad}
    assert {row["reason"] for row in dead} == {"refused_by_database"}
    assert all("overflow" in row["error"] for row in dead)


async def test_a_dead_letter_holds_the_callout_and_counts_its_attempts(
    pool: Pool, processor: Processor
) -> None:
    for _ in range(3):
        await processor.process(batch_of(5, {2}))
    batch = batch_of(5, {2})
    for _ in range(3):
        await processor.process(batch)

    row = await pool.fetchrow("SELECT * FROM dead_letter ORDER BY dead_letter_id DESC")
    assert row is not None
    assert row["attempts"] == 3
    contract.check(row["original"])
    (replayed,) = received(row["original"])
    assert (replayed.key, replayed.new) == (batch[2].key, batch[2].new)
    assert (row["callout_id"], row["received_at"]) == (batch[2].callout_id, batch[2].received_at)


async def test_an_outage_in_the_middle_is_no_dead_letter(pool: Pool, processor: Processor) -> None:
    await pool.execute("ALTER TABLE record RENAME TO moved")
    with pytest.raises(Exception, match="record"):
        await processor.process(batch_of(5, {2}))
    await pool.execute("ALTER TABLE moved RENAME TO record")

    assert await processor.process(batch_of(5, {2})) == Outcome(4, 1)
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 1
