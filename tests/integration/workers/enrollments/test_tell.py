"""What is told again: whatever the target's last word of somebody contradicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.workers.enrollments.acts import ANA, add, change, deliver, process, rows
from tests.salesforce import ORG_ID
from workers.enrollments.fold import Added, Counted, Exited
from workers.enrollments.tell import Word, tell

if TYPE_CHECKING:
    from pipeline.database import Pool

OPEN = "SELECT kind, generation, idempotency_key LIKE '%\\_1' FROM outbox WHERE state = 'open'"


async def say(pool: Pool, *steps: Counted | Exited) -> list[tuple[object, ...]]:
    """Have the enrolment's steps told; return what the relay has to say of them now."""
    ((enrollment_id,),) = await rows(pool, "SELECT enrollment_id FROM enrollment")
    async with pool.acquire() as connection, connection.transaction():
        key = (ORG_ID, "nurture", ANA)
        await tell(connection, [Word(int(str(enrollment_id)), key, step) for step in steps])
    return await rows(pool, OPEN)


async def two_generations(pool: Pool) -> Added:
    """Have two adds delivered; return the second."""
    for at in (1, 2):
        await process(pool, change(at, add(re_enroll="always")))
    assert await deliver(pool) == [("add", 1), ("add", 2)]
    event, *_ = await rows(
        pool,
        "SELECT captured_at, sequence, capture_id, rule, action, record_id, firing_id, 'always',"
        " NULL FROM enrollment_event ORDER BY captured_at DESC",
    )
    return Added(*event)


async def heard_last(pool: Pool, kind: str, generation: int) -> None:
    """Let a row have been delivered after all others."""
    await pool.execute(
        "UPDATE outbox SET state = 'delivered', attempts = 1, settled_at = now() + interval '1 s'"
        " WHERE kind = $1 AND generation = $2",
        kind,
        generation,
    )


async def test_an_add_that_an_earlier_generations_exit_undid_is_told_again(pool: Pool) -> None:
    """Older changes may end the first generation after the second was told, and then not."""
    second = await two_generations(pool)
    assert await say(pool, Exited(1, "won")) == [("exit", 1, False)]
    await heard_last(pool, "exit", 1)
    assert await say(pool, Counted(2, second)) == [("add", 2, True)]


async def test_an_exit_that_a_later_generations_add_undid_is_told_again(pool: Pool) -> None:
    await two_generations(pool)
    await say(pool, Exited(1, "won"))
    await heard_last(pool, "exit", 1)
    await heard_last(pool, "add", 2)
    await pool.execute("UPDATE outbox SET settled_at = now() - interval '1 s' WHERE kind = 'exit'")
    assert await say(pool, Exited(1, "won")) == [("exit", 1, True)]


async def test_what_the_target_heard_last_is_not_told_again(pool: Pool) -> None:
    second = await two_generations(pool)
    assert await say(pool, Counted(2, second)) == []
