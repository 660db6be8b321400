"""What came twice is kept as long as its change, also when it was known already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.explanation import explain_capture
from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received
from tests.salesforce import ORG_ID, now_ms
from workers.received import Redelivery
from workers.redeliveries import marked
from workers.upkeep import clear

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor

KEPT: Final = "SELECT delivery_count, run_id FROM redelivery"


async def test_a_change_that_was_committed_and_came_again_says_so_in_order(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    changes = received(inserted(lead()))
    await processor.process(changes)
    assert await pool.fetch(KEPT) == []
    # Its worker died between the commit and the ack; then a run published it once more.
    await processor.process(marked(changes, Redelivery(2, now_ms() + 1000, None)))
    await processor.process(marked(changes, Redelivery(1, now_ms() + 2000, 7)))
    assert [tuple(row) for row in await pool.fetch(KEPT)] == [(2, 7)]
    assert await pool.fetchval("SELECT count(*) FROM firing") == 1

    async with pool.acquire() as connection:
        (trail,) = await explain_capture(connection, changes[0].capture_id, None)
    assert [stage.stage for stage in trail.stages][-2:] == [
        "persisted by a worker",
        "delivered again (2)",
    ]
    # The database no longer knows of that run.
    assert trail.replay is not None
    assert (trail.deliveries, trail.replay.run_id, trail.replay.by) == (2, 7, None)


async def test_what_is_kept_of_a_redelivery_goes_with_the_history(
    pool: Pool, processor: Processor
) -> None:
    old = received(inserted(lead(), captured_at=now_ms() - 50 * 86_400_000))
    await processor.process(marked(old, Redelivery(2, now_ms(), None)))
    await clear(pool, retention_days=50)
    assert len(await pool.fetch(KEPT)) == 1
    await clear(pool, retention_days=40)
    assert await pool.fetch(KEPT) == []
