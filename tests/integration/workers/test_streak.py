"""A bad deploy stops the consumer; a bad org does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.changes import OTHER_ORG_ID, inserted, lead, received
from tests.salesforce import ORG_ID
from workers.dead_letters import Streak, TooManyDeadLetters

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor
    from workers.received import ReceivedChange

DEAD = "SELECT count(*) FROM dead_letter"


def too_old(count: int, *org_ids: str) -> list[ReceivedChange]:
    return received(
        *(
            inserted(lead(), captured_at=1, org_id=org_ids[index % len(org_ids)])
            for index in range(count)
        )
    )


async def test_too_many_dead_letters_of_several_orgs_stop_with_nothing_committed(
    pool: Pool, processor: Processor
) -> None:
    with pytest.raises(TooManyDeadLetters):
        await processor.process(too_old(Streak.LIMIT + 1, ORG_ID, OTHER_ORG_ID))
    assert await pool.fetchval(DEAD) == 0

    await processor.process(too_old(Streak.LIMIT, ORG_ID, OTHER_ORG_ID))
    with pytest.raises(TooManyDeadLetters):
        await processor.process(too_old(1, ORG_ID))
    assert await pool.fetchval(DEAD) == Streak.LIMIT


async def test_one_orgs_dead_letters_do_not_stop_the_others(
    pool: Pool, processor: Processor
) -> None:
    for _ in range(3):
        await processor.process(too_old(Streak.LIMIT, ORG_ID))
    assert await pool.fetchval(DEAD) == 3 * Streak.LIMIT

    await processor.process(received(inserted(lead(), org_id=OTHER_ORG_ID)))
    await processor.process(too_old(Streak.LIMIT, OTHER_ORG_ID))


async def test_a_commit_that_is_tried_again_counts_once(pool: Pool, processor: Processor) -> None:
    batch = too_old(Streak.LIMIT // 2, ORG_ID, OTHER_ORG_ID)
    # A deferred trigger fails the commit itself, as a connection lost in it would.
    await pool.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '57P01'; END $$;"
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON dead_letter"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    for _ in range(4):
        with pytest.raises(Exception, match="away"):
            await processor.process(batch)
    await pool.execute("DROP TRIGGER fail ON dead_letter")

    await processor.process(batch)
    assert await pool.fetchval(DEAD) == len(batch)
