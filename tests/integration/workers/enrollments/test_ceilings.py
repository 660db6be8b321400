"""What a rule enrols beyond its ceiling is held, until somebody releases it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from tests.integration.workers.enrollments.acts import (
    ANA,
    LEADS,
    add,
    change,
    deliver,
    persist,
    process,
    process_each,
    remove,
    rows,
    standings,
)

if TYPE_CHECKING:
    from pipeline.database import Pool

HELD = "held: rule r enrols at most 2 an hour"
OUTBOX = "SELECT recipient, kind, generation, state FROM outbox ORDER BY outbox_id"


def held_count() -> float:
    return REGISTRY.get_sample_value("penstock_enrollments_held_total") or 0


def adds(*recipients: str, ceiling: int = 2) -> list[dict[str, object]]:
    return [add(recipient=recipient, ceiling=ceiling) for recipient in recipients]


async def test_beyond_its_ceiling_a_rules_enrolments_are_held_in_the_order_of_keys(
    pool: Pool,
) -> None:
    before = held_count()
    await process(pool, change(1, *adds("c", "a", "d", "b")))
    assert await standings(pool) == [
        ("a", "pending", 1, None),
        ("b", "pending", 1, None),
        ("c", "held", 1, HELD),
        ("d", "held", 1, HELD),
    ]
    assert [row[3] for row in await rows(pool, OUTBOX)] == ["open", "open", "held", "held"]
    assert held_count() - before == 2


async def test_the_ceiling_counts_what_earlier_transactions_enrolled(pool: Pool) -> None:
    for number in range(3):
        await process(pool, change(number, *adds(f"{number}")))
    assert [row[1] for row in await standings(pool)] == ["pending", "pending", "held"]
    assert await rows(pool, "SELECT rule, enrolled_count FROM rule_hour") == [("r", 3)]


async def test_adds_that_enrol_nobody_anew_do_not_count(pool: Pool) -> None:
    await process_each(pool, [change(at, *adds("a")) for at in range(4)])
    await process(pool, change(5, *adds("b")))
    assert [row[1] for row in await standings(pool)] == ["pending", "pending"]


async def test_another_hour_and_another_rule_begin_anew(pool: Pool) -> None:
    await process(pool, change(1, *adds("a", "b")))
    await pool.execute("UPDATE rule_hour SET hour = hour - 1")
    await process(pool, change(2, *adds("c"), add("other", "d", ceiling=1)))
    assert [row[1] for row in await standings(pool)] == ["pending"] * 4


async def test_a_transaction_that_is_rolled_back_counts_nothing(pool: Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await persist(connection, change(1, *adds("a", "b")))
        await transaction.rollback()
    await process(pool, change(1, *adds("a", "b")))
    assert [row[1] for row in await standings(pool)] == ["pending", "pending"]


async def test_what_is_held_exits_without_a_word_and_is_held_again_if_the_exit_is_taken_back(
    pool: Pool,
) -> None:
    await process(pool, change(1, *adds("a", "b", "c")))
    await process(pool, change(5, remove(recipient="c"), transaction_id="tx", capture_id="late"))
    assert (await standings(pool))[2] == ("c", "exited", 1, "exited: rule won")
    assert ("c", "add", 1, "superseded") in await rows(pool, OUTBOX)
    assert [row for row in await deliver(pool) if row[0] == "exit"] == []

    # The same transaction matched earlier already, for somebody else.
    await process(pool, change(4, remove(recipient="x"), transaction_id="tx", capture_id="early"))
    assert (await standings(pool))[2] == ("c", "held", 1, HELD)
    assert ("c", "add", 1, "held") in await rows(pool, OUTBOX)


async def test_who_is_added_beyond_the_ceiling_and_exits_in_one_batch_is_not_held(
    pool: Pool,
) -> None:
    await process(pool, change(1, *adds("a", "b")))
    await process(pool, change(2, *adds("c")), change(3, remove(recipient="c")))
    assert (await standings(pool))[2] == ("c", "exited", 1, "exited: rule won")
    assert ("c", "add", 1, "superseded") in await rows(pool, OUTBOX)

    again = add("again", "c", re_enroll="after_exit")
    await process(pool, change(4, again, record_id=LEADS[1]))
    assert (await standings(pool))[2] == ("c", "pending", 2, None)


async def test_each_add_has_the_ceiling_of_its_own_version_of_the_rule(pool: Pool) -> None:
    await process_each(pool, [change(1, *adds("a", "b", "c")), change(2, *adds(ANA, ceiling=9))])
    assert {row[0]: row[1] for row in await standings(pool)} == {
        "a": "pending",
        "b": "pending",
        "c": "held",
        ANA: "pending",
    }
