"""What is told again: whatever the target's last word of somebody contradicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.workers.enrollments.acts import (
    ANA,
    LEADS,
    add,
    change,
    deleted,
    deliver,
    process,
    remove,
    rows,
)
from tests.salesforce import ORG_ID
from workers.enrollments.fold import Added, Counted, Exited
from workers.enrollments.tell import Word, tell
from workers.relay import outbox

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.relay.claim import Claim

OPEN = r"SELECT kind, generation, idempotency_key ~ '_\d{1,9}$' FROM outbox WHERE state = 'open'"


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


async def claim_one(pool: Pool) -> Claim:
    await pool.execute("UPDATE outbox SET due_at = now() WHERE state = 'open'")
    (only,) = await outbox.claim(pool, limit=5, lease_s=60)
    return only


async def add_again_under_way(pool: Pool) -> Claim:
    """Have an add and its exit delivered and that taken back; return the add, claimed again."""
    await process(pool, change(1, add()))
    await outbox.delivered(pool, await claim_one(pool))
    await process(pool, deleted(30))
    await outbox.delivered(pool, await claim_one(pool))
    await process(pool, change(2, add(), record_id=LEADS[1]))
    again = await claim_one(pool)
    assert (again.kind, again.generation) == ("add", 1)
    return again


@pytest.mark.parametrize("is_answered", [True, False])
async def test_an_exit_that_an_add_under_way_undoes_is_told_again(
    pool: Pool, *, is_answered: bool
) -> None:
    again = await add_again_under_way(pool)
    await process(pool, change(40, remove(), record_id=LEADS[1]))
    assert await outbox.claim(pool, limit=5, lease_s=60) == []  # It waits for the add, put back.
    if is_answered:
        await outbox.delivered(pool, again)
    else:
        lost = outbox.retry(again, "timeout", pause_s=0, is_known=False)
        await outbox.settle(pool, [lost])
        (late,) = await outbox.claim(pool, limit=5, lease_s=60)
        assert late.is_superseded
        await outbox.superseded(pool, late)
    # Settling the add woke it, though it has been told before.
    (ends,) = await outbox.claim(pool, limit=5, lease_s=60)
    assert (ends.kind, ends.generation, ends.is_superseded) == ("exit", 1, False)
    assert await rows(pool, OPEN) == [("exit", 1, True)]
    await outbox.delivered(pool, ends)
    assert await outbox.claim(pool, limit=5, lease_s=60) == []


async def test_an_exit_whose_add_again_was_not_sent_yet_is_not_told_again(pool: Pool) -> None:
    again = await add_again_under_way(pool)
    await outbox.settle(pool, [outbox.untried(again)])
    await process(pool, change(40, remove(), record_id=LEADS[1]))
    assert await rows(pool, OPEN) == [("add", 1, True)]
    await outbox.superseded(pool, await claim_one(pool))
    assert await rows(pool, OPEN) == []


async def test_an_exit_that_is_committed_while_its_add_is_on_its_way_is_told_again(
    pool: Pool,
) -> None:
    """Whoever committed it could not see that the add had gone out, nor the relay the exit."""
    await outbox.settle(pool, [outbox.untried(await add_again_under_way(pool))])
    ((enrollment_id,),) = await rows(pool, "SELECT enrollment_id FROM enrollment")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE enrollment SET state = 'exited', exited_generation = 1")
        word = Word(int(str(enrollment_id)), (ORG_ID, "nurture", ANA), Exited(1, "won"))
        await tell(connection, [word])
        again = await claim_one(pool)
        assert (again.kind, again.is_superseded) == ("add", False)
    await outbox.delivered(pool, again)
    ends = await claim_one(pool)
    assert (ends.kind, ends.is_superseded) == ("exit", False)
    await outbox.delivered(pool, ends)
    assert await rows(pool, OPEN) == []


async def test_whom_an_add_that_was_told_again_may_have_let_in_exits_with_a_later_generation(
    pool: Pool,
) -> None:
    await process(pool, change(1, add(re_enroll="always")))
    await outbox.delivered(pool, await claim_one(pool))
    await process(pool, deleted(30))
    await outbox.delivered(pool, await claim_one(pool))
    for at in (2, 3):
        await process(pool, change(at, add(re_enroll="always"), record_id=LEADS[1]))
    lost = outbox.retry(await claim_one(pool), "timeout", pause_s=0, is_known=False)
    assert (lost.claim.kind, lost.claim.generation) == ("add", 1)
    await outbox.settle(pool, [lost])
    await process(pool, deleted(40, record_id=LEADS[1]))
    told = []
    for _ in range(4):
        one = await claim_one(pool)
        told.append((one.kind.value, one.is_superseded))
        await (outbox.superseded if one.is_superseded else outbox.delivered)(pool, one)
    assert told == [("add", True), ("add", True), ("add", True), ("exit", False)]
    assert await rows(pool, OPEN) == []


async def test_whom_a_lost_exit_may_have_left_at_the_target_exits_again(pool: Pool) -> None:
    """The exit got no answer and was taken back; the add was not told again before the next."""
    await process(pool, change(1, add()))
    await outbox.delivered(pool, await claim_one(pool))
    await process(pool, deleted(30))
    lost = outbox.retry(await claim_one(pool), "timeout", pause_s=0, is_known=False)
    await outbox.settle(pool, [lost])
    await process(pool, change(2, add(), record_id=LEADS[1]))
    await outbox.superseded(pool, await claim_one(pool))
    await process(pool, change(40, remove(), record_id=LEADS[1]))
    over = await claim_one(pool)
    assert (over.kind, over.is_superseded) == ("add", True)
    await outbox.superseded(pool, over)
    ends = await claim_one(pool)
    assert (ends.kind, ends.is_superseded) == ("exit", False)
    # Had the lost one come after all, the target would take this for the same under its key.
    assert ends.idempotency_key != lost.claim.idempotency_key
