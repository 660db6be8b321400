"""Claims are fenced leases, in order for each recipient, disjoint between relays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.changes import QUALIFIED_RULE, add_org, inserted, lead, received, record_ids
from tests.salesforce import ORG_ID
from workers.relay import outbox

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor
    from workers.relay.outbox import Claim

WELCOME_RULE = QUALIFIED_RULE.replace("to-nurture", "to-welcome").replace(": nurture", ": welcome")
ROWS = "SELECT state, attempts, last_error, due_at <= now() AS due FROM outbox ORDER BY outbox_id"
STATES = "SELECT array_agg(state ORDER BY enrollment_id) FROM enrollment"


async def claim(pool: Pool, limit: int = 100, lease_s: float = 60.0) -> list[Claim]:
    return await outbox.claim(pool, limit=limit, lease_s=lease_s)


async def rows(pool: Pool) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(ROWS)]


async def end_leases(pool: Pool) -> None:
    """Let time pass for every lease and every pause."""
    await pool.execute("UPDATE outbox SET due_at = now() WHERE state = 'open'")


@pytest.fixture
async def enrolled(pool: Pool, processor: Processor) -> None:
    """Four people, each of them in two sequences."""
    await add_org(pool, ORG_ID, QUALIFIED_RULE, WELCOME_RULE)
    ids = record_ids()
    leads = [lead(Id=next(ids), Email=f"{name}@x.org") for name in ("ana", "bo", "cy", "di")]
    await processor.process(received(inserted(*leads)))


@pytest.mark.usefixtures("enrolled")
async def test_only_the_oldest_open_row_of_a_recipient_is_claimed(pool: Pool) -> None:
    first = await claim(pool)
    assert sorted(one.enrollment.recipient for one in first) == [
        "ana@x.org",
        "bo@x.org",
        "cy@x.org",
        "di@x.org",
    ]
    assert {one.enrollment.sequence for one in first} == {"nurture"}
    assert {one.attempt for one in first} == {1}
    assert await claim(pool) == []

    await outbox.delivered(pool, first[0])
    await outbox.refused(pool, first[1], "no")
    await outbox.retry_later(pool, first[2], delay_s=60, error="later")
    second = await claim(pool)
    assert [one.enrollment.sequence for one in second] == ["welcome"] * 2
    assert {one.enrollment.recipient for one in second} == {
        first[0].enrollment.recipient,
        first[1].enrollment.recipient,
    }
    found = await pool.fetch("SELECT enrollment_id, state FROM enrollment")
    states = {row["enrollment_id"]: row["state"] for row in found}
    assert states[first[0].enrollment.enrollment_id] == "active"
    assert states[first[1].enrollment.enrollment_id] == "failed"
    assert states[first[2].enrollment.enrollment_id] == "pending"


@pytest.mark.usefixtures("enrolled")
async def test_a_relay_that_comes_back_late_settles_nothing(pool: Pool) -> None:
    (late,) = await claim(pool, limit=1)
    await end_leases(pool)
    again = {one.outbox_id: one for one in await claim(pool)}[late.outbox_id]
    assert again.attempt == 2
    assert again.idempotency_key == late.idempotency_key

    await outbox.refused(pool, late, "too late")
    await outbox.retry_later(pool, late, delay_s=0, error="too late")
    await outbox.superseded(pool, late)
    assert (await rows(pool))[0] == ("open", 2, None, False)
    assert "failed" not in await pool.fetchval(STATES)

    await outbox.delivered(pool, again)
    await outbox.refused(pool, again, "once is enough")
    assert (await rows(pool))[0] == ("delivered", 2, None, False)
    assert (await pool.fetchval(STATES)).count("active") == 1


@pytest.mark.usefixtures("enrolled")
async def test_a_row_given_back_is_due_after_its_pause(pool: Pool) -> None:
    (held,) = await claim(pool, limit=1)
    await outbox.retry_later(pool, held, delay_s=3600, error="down")
    assert (await rows(pool))[0] == ("open", 1, "down", False)
    due_in = await pool.fetchval(
        "SELECT extract(epoch FROM due_at - now())::float8 FROM outbox WHERE outbox_id = $1",
        held.outbox_id,
    )
    assert 3590 < due_in <= 3600


@pytest.mark.usefixtures("enrolled")
async def test_what_comes_back_while_it_is_set_aside_is_told_after_all(pool: Pool) -> None:
    await pool.execute("UPDATE enrollment SET state = 'exited'")
    seen_exited = await claim(pool)
    assert all(one.is_superseded for one in seen_exited)
    back, gone = seen_exited[:2]
    await pool.execute(
        "UPDATE enrollment SET state = 'pending' WHERE enrollment_id = $1",
        back.enrollment.enrollment_id,
    )
    await outbox.superseded(pool, back)
    await outbox.superseded(pool, gone)

    (again,) = [one for one in await claim(pool) if not one.is_superseded]
    assert again.outbox_id == back.outbox_id
    settled = await pool.fetchval(
        "SELECT array_agg(outbox_id) FROM outbox WHERE state = 'superseded'"
    )
    assert settled == [gone.outbox_id]


async def test_relays_that_claim_at_once_never_get_the_same_row(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    ids = record_ids()
    leads = [lead(Id=next(ids), Email=f"lead{number}@x.org") for number in range(200)]
    await processor.process(received(inserted(*leads)))

    async def relay() -> list[int]:
        mine: list[int] = []
        while claims := await claim(pool, limit=7):
            mine += [one.outbox_id for one in claims]
        return mine

    taken = [one for mine in await asyncio.gather(*(relay() for _ in range(6))) for one in mine]
    assert len(taken) == len(set(taken))
    await end_leases(pool)
    assert len(await claim(pool, limit=1000)) == 200
    assert len(taken) == 200


async def test_a_claim_reads_its_indexes_however_much_waits(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    await processor.process(received(inserted(lead())))
    await pool.execute(
        "INSERT INTO outbox (enrollment_id, generation, target, recipient, idempotency_key, state)"
        " SELECT enrollment_id, n, 'webhook', 'r' || n, 'k' || n,"
        " CASE WHEN n % 2 = 0 THEN 'open' ELSE 'delivered' END"
        " FROM enrollment, generate_series(2, 20001) AS n"
    )
    await pool.execute("ANALYZE outbox")
    plan = await pool.fetch(f"EXPLAIN {outbox.CLAIM}", 50, 60.0)
    text = "\n".join(row[0] for row in plan)

    assert "using outbox_open on" in text
    assert "outbox_open_by_recipient" in text
    assert "Seq Scan" not in text, text
