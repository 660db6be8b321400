"""Enrolments end by rule and with their records, follow merges and conversions, and begin again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.integration.workers.enrollments.acts import (
    ANA,
    BO,
    CONTACT,
    LEADS,
    add,
    change,
    converted,
    deleted,
    deliver,
    merged,
    process,
    process_each,
    remove,
    rows,
    standings,
)
from workers.relay import outbox

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.relay.claim import Claim

GONE = "exited: its last record was deleted"
OUTBOX = "SELECT kind, generation, state, rule, target FROM outbox ORDER BY outbox_id"


async def test_a_rule_ends_an_enrolment_and_the_target_hears_of_it(pool: Pool) -> None:
    await process(pool, change(1, add()))
    assert await deliver(pool) == [("add", 1)]
    await process(pool, change(2, remove()))

    assert await standings(pool) == [(ANA, "exited", 1, "exited: rule won")]
    assert await rows(pool, OUTBOX) == [
        ("add", 1, "delivered", "r", "webhook"),
        ("exit", 1, "open", "won", "webhook"),
    ]
    keys = [row[0] for row in await rows(pool, "SELECT idempotency_key FROM outbox ORDER BY 1")]
    assert keys[1] == keys[0] + "_exit"


async def test_who_was_never_enrolled_has_nothing_to_exit_from(pool: Pool) -> None:
    await process(pool, change(1, remove()))
    assert await standings(pool) == [(ANA, "exited", 0, "nothing adds the recipient")]
    assert await rows(pool, OUTBOX) == []

    # An exit says nothing of what comes after it.
    await process(pool, change(2, add()))
    assert await standings(pool) == [(ANA, "pending", 1, None)]


async def test_an_enrolment_ends_when_the_last_of_its_records_is_deleted(pool: Pool) -> None:
    await process_each(pool, [change(1, add()), change(2, add(), record_id=LEADS[1])])
    await process(pool, deleted(3))
    assert await standings(pool) == [(ANA, "pending", 1, None)]
    await process(pool, deleted(4, record_id=LEADS[1]))
    assert await standings(pool) == [(ANA, "exited", 1, GONE)]


async def test_a_deletion_that_is_known_before_the_add_ends_it_all_the_same(pool: Pool) -> None:
    await process_each(pool, [deleted(2), change(1, add())])
    assert await standings(pool) == [(ANA, "exited", 1, GONE)]


async def test_what_a_deletion_itself_adds_is_enrolled(pool: Pool) -> None:
    await process_each(pool, [change(1, add(recipient=BO)), deleted(2, add("win-back"))])
    assert await standings(pool) == [(ANA, "pending", 1, None), (BO, "exited", 1, GONE)]


async def test_a_merged_record_lives_on_as_the_winner(pool: Pool) -> None:
    await process_each(pool, [change(1, add()), merged(2, LEADS[1])])
    assert await standings(pool) == [(ANA, "pending", 1, f"merged into {LEADS[1]}")]

    await process_each(pool, [merged(3, LEADS[2], record_id=LEADS[1])])
    assert await standings(pool) == [(ANA, "pending", 1, f"merged into {LEADS[2]}")]
    await process(pool, deleted(4, record_id=LEADS[2]))
    assert await standings(pool) == [(ANA, "exited", 1, GONE)]


async def test_a_converted_lead_lives_on_as_the_contact(pool: Pool) -> None:
    await process_each(pool, [change(1, add()), converted(2), change(3, ConvertedContactId=None)])
    assert await standings(pool) == [(ANA, "pending", 1, f"converted into {CONTACT}")]

    # The lead that the conversion left behind means nothing any more.
    await process(pool, deleted(4))
    assert (await standings(pool))[0][1] == "pending"
    await process(pool, deleted(5, record_id=CONTACT))
    assert await standings(pool) == [(ANA, "exited", 1, GONE)]


async def test_records_merged_in_a_circle_end_with_the_last(pool: Pool) -> None:
    circle = [
        change(1, add()),
        merged(2, LEADS[1]),
        merged(3, LEADS[0], record_id=LEADS[1]),
    ]
    await process_each(pool, circle)
    assert (await standings(pool))[0][1] == "pending"
    await process(pool, deleted(4))
    assert await standings(pool) == [(ANA, "exited", 1, GONE)]


async def test_who_exited_is_added_again_only_by_rules_that_say_so(pool: Pool) -> None:
    await process_each(pool, [change(1, add()), change(2, remove()), change(3, add())])
    assert (await standings(pool))[0][1:3] == ("exited", 1)
    await process(pool, change(4, add("again", re_enroll="after_exit")))
    assert await standings(pool) == [(ANA, "pending", 2, None)]
    await process(pool, change(5, add("again", re_enroll="after_exit")))
    assert (await standings(pool))[0][1:3] == ("pending", 2)
    assert [row[:3] for row in await rows(pool, OUTBOX)] == [
        ("add", 1, "open"),
        ("exit", 1, "open"),
        ("add", 2, "open"),
    ]


async def test_an_exit_goes_to_the_target_that_the_add_went_to(pool: Pool) -> None:
    await process(pool, change(1, add()))
    await pool.execute(
        "INSERT INTO org (org_id, sync_user_id) SELECT DISTINCT org_id, 'u' FROM enrollment"
    )
    await pool.execute(
        "INSERT INTO sequence (org_id, sequence, target)"
        " SELECT DISTINCT org_id, sequence, 'mixmax' FROM enrollment"
    )
    again = change(3, add("again", re_enroll="after_exit"))
    await process_each(pool, [change(2, remove()), again])
    assert [row[4] for row in await rows(pool, OUTBOX)] == ["webhook", "webhook", "mixmax"]


async def test_a_late_older_add_takes_an_exit_back(pool: Pool) -> None:
    await process_each(pool, [change(1, add()), deleted(3)])
    assert await deliver(pool) == []
    await process(pool, change(2, add(), record_id=LEADS[1]))

    assert await standings(pool) == [(ANA, "pending", 1, None)]
    assert await deliver(pool) == [("add", 1)]


async def test_an_exit_taken_back_before_it_was_told_leaves_the_target_as_it_was(
    pool: Pool,
) -> None:
    await process(pool, change(1, add()))
    await deliver(pool)
    await process(pool, deleted(3))
    await process(pool, change(2, add(), record_id=LEADS[1]))

    assert await standings(pool) == [(ANA, "active", 1, None)]
    assert await deliver(pool) == []


async def test_an_exit_taken_back_after_it_was_told_is_followed_by_a_new_add(pool: Pool) -> None:
    await process(pool, change(1, add()))
    await deliver(pool)
    await process(pool, deleted(3))
    assert await deliver(pool) == [("exit", 1)]
    await process(pool, change(2, add(), record_id=LEADS[1]))

    assert await standings(pool) == [(ANA, "pending", 1, None)]
    assert await deliver(pool) == [("add", 1)]
    key, told = (
        await rows(
            pool, "SELECT min(idempotency_key), max(idempotency_key) FROM outbox WHERE kind = 'add'"
        )
    )[0]
    assert key == told
    assert key.endswith("_1")

    await process(pool, deleted(4, record_id=LEADS[1]))
    assert await deliver(pool) == [("exit", 1)]
    assert (await standings(pool))[0][1] == "exited"


async def claimed(pool: Pool) -> Claim:
    (claim,) = await outbox.claim(pool, limit=1, lease_s=60)
    return claim


async def test_what_the_target_may_have_taken_before_its_exit_is_told_again_under_a_new_key(
    pool: Pool,
) -> None:
    await process(pool, change(1, add()))
    # The target took it, but its answer was lost.
    lost = await claimed(pool)
    await outbox.settle(pool, [outbox.retry(lost, "no answer", pause_s=0, is_known=False)])
    await process(pool, deleted(3))
    await outbox.superseded(pool, await claimed(pool))
    exit_of_ana = await claimed(pool)
    assert (exit_of_ana.kind.value, exit_of_ana.is_superseded) == ("exit", False)
    await outbox.delivered(pool, exit_of_ana)
    await process(pool, change(2, add(), record_id=LEADS[1]))

    again = await claimed(pool)
    assert (again.kind.value, again.generation) == ("add", 1)
    assert again.idempotency_key != lost.idempotency_key


async def test_an_exit_taken_back_while_it_is_under_way_is_followed_by_a_new_add(
    pool: Pool,
) -> None:
    await process(pool, change(1, add()))
    told = await claimed(pool)
    await outbox.delivered(pool, told)
    await process(pool, deleted(3))
    under_way = await claimed(pool)
    await process(pool, change(2, add(), record_id=LEADS[1]))
    await outbox.delivered(pool, under_way)

    assert await standings(pool) == [(ANA, "pending", 1, None)]
    again = await claimed(pool)
    assert (again.kind.value, again.is_superseded) == ("add", False)
    assert again.idempotency_key != told.idempotency_key
    await outbox.delivered(pool, again)
    assert await standings(pool) == [(ANA, "active", 1, None)]


async def test_an_exit_that_adds_already_followed_is_not_told_late(pool: Pool) -> None:
    always = {"re_enroll": "always"}
    await process_each(pool, [change(1, add(**always)), change(3, add(**always))])
    assert await deliver(pool) == [("add", 1), ("add", 2)]
    await process(pool, change(2, remove()))

    assert await standings(pool) == [(ANA, "active", 2, None)]
    assert await deliver(pool) == []
    await process(pool, change(4, remove()))
    assert await deliver(pool) == [("exit", 2)]


async def test_a_late_exit_makes_a_generation_of_an_add_that_did_not_count(pool: Pool) -> None:
    first, second = change(1, add()), change(3, add("again", re_enroll="after_exit"))
    await process_each(pool, [first, second])
    assert await deliver(pool) == [("add", 1)]
    await process(pool, change(2, remove()))

    assert await standings(pool) == [(ANA, "pending", 2, None)]
    assert await deliver(pool) == [("exit", 1), ("add", 2)]
