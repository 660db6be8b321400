"""Firings once per transaction, enrolments as the fold says, the outbox told of the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, updated
from tests.salesforce import ORG_ID, now_ms
from workers.relay import outbox

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor
    from workers.received import ReceivedChange

ENROLLMENTS = """
    SELECT recipient, state, generation, variables->>'rating' AS rating, capture_id
    FROM enrollment LEFT JOIN firing USING (firing_id) ORDER BY recipient"""
OUTBOX = "SELECT recipient, generation, state FROM outbox ORDER BY outbox_id"
ANA, BO = "ana@example.com", "bo@example.com"


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(query)]


async def relay(pool: Pool) -> list[str]:
    """Deliver whatever is due; return who was told."""
    told = []
    while claims := await outbox.claim(pool, limit=10, lease_s=60):
        for claim in claims:
            if claim.is_superseded:
                await outbox.superseded(pool, claim)
            else:
                await outbox.delivered(pool, claim)
                told.append(claim.recipient)
    return told


def refired(first: str = ANA, second: str = ANA) -> tuple[list[ReceivedChange], ...]:
    """Return a save and a workflow's field update after it, in one transaction, same old values."""
    at, old = now_ms(), lead(Status="Open")
    keys = {"transaction_id": "tx", "captured_at": at}
    return (
        received(
            updated(old, lead(Email=first, Rating="Warm"), sequence=0, capture_id="one", **keys)
        ),
        received(
            updated(old, lead(Email=second, Rating="Hot"), sequence=1, capture_id="two", **keys)
        ),
    )


@pytest.mark.parametrize("order", ["together", "first first", "second first"])
async def test_a_rule_fires_once_a_transaction_and_its_first_capture_decides(
    pool: Pool, processor: Processor, order: str
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    first, second = refired()
    batches = {"together": [first + second], "first first": [first, second]}
    for batch in batches.get(order, [second, first]):
        await processor.process(batch)

    assert await rows(pool, "SELECT capture_id FROM firing") == [("one",)]
    assert await rows(pool, ENROLLMENTS) == [(ANA, "pending", 1, "Warm", "one")]
    assert await rows(pool, OUTBOX) == [(ANA, 1, "open")]


async def test_a_recipient_who_turns_out_not_to_count_is_exited_and_never_told(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    first, second = refired(ANA, BO)
    await processor.process(second)
    assert await rows(pool, ENROLLMENTS) == [(BO, "pending", 1, "Hot", "two")]
    await processor.process(first)

    assert await rows(pool, ENROLLMENTS) == [
        (ANA, "pending", 1, "Warm", "one"),
        (BO, "exited", 0, None, None),
    ]
    assert await relay(pool) == [ANA]
    assert sorted(await rows(pool, OUTBOX)) == [
        (ANA, 1, "delivered"),
        (BO, 1, "superseded"),
        (BO, 1, "superseded"),
    ]

    # Later Bo counts after all.
    await processor.process(received(inserted(lead(Email=BO, Rating="Hot"), capture_id="three")))
    assert (BO, "pending", 1, "Hot", "three") in await rows(pool, ENROLLMENTS)
    assert await relay(pool) == [BO]
    assert (BO, "active", 1, "Hot", "three") in await rows(pool, ENROLLMENTS)


async def test_who_was_told_before_it_turned_out_not_to_count_is_not_told_again(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    first, second = refired(ANA, BO)
    await processor.process(second)
    assert await relay(pool) == [BO]
    await processor.process(first)
    await processor.process(received(inserted(lead(Email=BO), capture_id="three")))

    assert await relay(pool) == [ANA]
    assert (BO, "active", 1, None, "three") in await rows(pool, ENROLLMENTS)


async def test_who_was_told_and_turns_out_not_to_count_exits_at_the_target_too(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    first, second = refired(ANA, BO)
    await processor.process(second)
    assert await relay(pool) == [BO]
    await processor.process(first)
    assert sorted(await relay(pool)) == [ANA, BO]
    told = "SELECT recipient, kind, state FROM outbox ORDER BY recipient, kind"
    assert await rows(pool, told) == [
        (ANA, "add", "delivered"),
        (BO, "add", "delivered"),
        (BO, "exit", "delivered"),
    ]

    # Counting after all, Bo is told of again, under a key that the target does not know.
    keys = await rows(pool, "SELECT idempotency_key FROM outbox")
    await processor.process(received(inserted(lead(Email=BO), capture_id="three")))
    assert await relay(pool) == [BO]
    assert (BO, "active", 1, None, "three") in await rows(pool, ENROLLMENTS)
    assert len({*keys, *await rows(pool, "SELECT idempotency_key FROM outbox")}) == len(keys) + 1


async def test_a_generation_taken_back_leaves_the_one_before_as_it_was(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE.replace("Rating}", "Rating}, re_enroll: always"))
    before = inserted(lead(Email=BO), captured_at=now_ms() - 1000, capture_id="zero")
    await processor.process(received(before))
    assert await relay(pool) == [BO]
    first, second = refired(ANA, BO)
    await processor.process(second)
    assert (BO, "pending", 2, "Hot", "two") in await rows(pool, ENROLLMENTS)
    await processor.process(first)

    assert (BO, "active", 1, None, "zero") in await rows(pool, ENROLLMENTS)
    assert await relay(pool) == [ANA]


@pytest.mark.parametrize(("re_enroll", "generation"), [("never", 1), ("always", 3)])
async def test_a_rule_says_whether_it_enrols_again(
    pool: Pool, processor: Processor, re_enroll: str, generation: int
) -> None:
    rule = QUALIFIED_RULE.replace("Rating}", f"Rating}}, re_enroll: {re_enroll}")
    await add_org(pool, ORG_ID, rule)
    at = now_ms()
    for step in (2, 0, 1):
        change = inserted(lead(Rating=f"{step}"), captured_at=at + step, capture_id=f"{step}")
        await processor.process(received(change))

    decided = "0" if generation == 1 else "2"
    assert await rows(pool, ENROLLMENTS) == [(ANA, "pending", generation, decided, decided)]
    assert await rows(pool, OUTBOX) == [(ANA, told, "open") for told in range(1, generation + 1)]


async def test_without_a_plausible_address_a_rule_fires_and_enrols_nobody(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    await processor.process(received(inserted(lead(Email="nobody")), updated(lead(), lead())))
    await processor.process(received(inserted(lead(Email=" ANA@Example.com "))))

    assert await pool.fetchval("SELECT count(*) FROM firing") == 3
    assert [row[0] for row in await rows(pool, ENROLLMENTS)] == [ANA]


async def test_evidence_keeps_digits_and_odd_characters(pool: Pool, processor: Processor) -> None:
    rule = QUALIFIED_RULE.replace("Qualified}", "Qualified}, {field: Worth, at_least: 12.50}")
    await add_org(pool, ORG_ID, rule + "include_sync_user: true\n")
    new = b'{"Id":"00Q5g00000HotLdEAJ","Email":"a@x.org","Status":"qualiFied",'
    new += b'"Rating":"\\u0000 \\ud83d","Worth":123456789012345678901234567890.10}'
    body = msgspec.json.encode(updated(lead(Status="\u2028'\U0001f600"), msgspec.Raw(new)))
    await processor.process(received(body))

    row = await pool.fetchrow(
        "SELECT evidence, variables FROM firing JOIN enrollment USING (firing_id)"
    )
    assert row is not None
    status, worth = msgspec.json.decode(row["evidence"])
    assert status == {
        "field": "Status",
        "operator": "equals",
        "operand": "Qualified",
        "old": "\u2028'\U0001f600",
        "new": "qualiFied",
        "verdict": True,
    }
    assert (worth["operand"], worth["verdict"]) == (12.5, True)
    assert '"new": 123456789012345678901234567890.10' in row["evidence"]
    assert '"operand": 12.50' in row["evidence"]
    assert msgspec.json.decode(row["variables"]) == {"rating": "\x1a0000 \x1ad83d"}
