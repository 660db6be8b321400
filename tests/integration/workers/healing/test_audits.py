"""Audits as sweeps bring them to their end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ops import audits as operator
from pipeline.objects import SObject
from pipeline.requests import Cause, ask_for_loads, withdraw_loads
from tests.changes import OTHER_ORG_ID, add_org, inserted, lead, received
from tests.integration.workers.healing.org import (
    AT,
    HOUR_MS,
    acknowledge,
    begin,
    findings,
    leads,
    resends,
    store,
    told,
)
from tests.salesforce import ORG_ID
from tests.snapshots import absence, datetime_of, snapshot
from workers.healing.audits import Audits
from workers.healing.comparison import Comparison

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor

READ_AT = AT + 12 * HOUR_MS


@pytest.fixture
async def audits(pool: Pool) -> Audits:
    await add_org(pool)
    return Audits(pool)


async def states(pool: Pool) -> tuple[str, dict[str, str]]:
    """Return the state of the newest audit and of each of its objects."""
    rows = await pool.fetch(
        "SELECT audit.state, object, audit_object.state FROM audit JOIN audit_object"
        " USING (audit_id) WHERE audit_id = (SELECT max(audit_id) FROM audit)"
    )
    return rows[0][0], {row[1]: row[2] for row in rows}


async def healed(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT record_id FROM audit_finding WHERE healed_at IS NOT NULL ORDER BY record_id"
    )
    return [row["record_id"] for row in rows]


def state_of(record_id: str, **fields: Any) -> dict[str, Any]:
    return lead(Id=record_id, SystemModstamp=datetime_of(AT), **fields)


async def test_what_is_missing_is_asked_for_at_once_and_what_is_extra_once_all_was_compared(
    pool: Pool, audits: Audits, processor: Processor
) -> None:
    extra, stale, missing, last = leads(4)
    comparison = Comparison(pool)
    await store(pool, [extra, last])
    await store(pool, [stale], at=AT - 1)
    _, (request_id,) = await begin(pool)
    await audits.page()
    assert await resends(pool) == []

    await comparison.compare(told(request_id, [stale, missing], to=missing))
    assert not await audits.page()
    ((first_id, asked),) = await resends(pool)
    assert asked == [stale, missing]
    assert await states(pool) == ("running", {"Lead": "comparing"})
    await audits.page()
    assert len(await resends(pool)) == 1

    await comparison.compare(told(request_id, [last], after=missing))
    await audits.page()
    _, (second_id, also_asked) = await resends(pool)
    assert also_asked == [extra]
    assert await states(pool) == ("running", {"Lead": "healing"})

    read = snapshot(state_of(stale), state_of(missing), request_id=first_id, read_at=READ_AT)
    await processor.process(received(read))
    assert await healed(pool) == [stale, missing]
    await audits.page()
    assert await states(pool) == ("running", {"Lead": "healing"})
    await processor.process(received(absence(extra, request_id=second_id, read_at=READ_AT)))
    # What came is enough; that the org says so is not waited for.
    await audits.page()
    assert await states(pool) == ("done", {"Lead": "done"})
    assert await pool.fetchval("SELECT settled_at IS NOT NULL FROM audit")

    rows = await pool.fetch("SELECT record_id FROM record WHERE NOT deleted ORDER BY record_id")
    assert [row["record_id"] for row in rows] == [stale, missing, last]
    totals = await pool.fetch(
        "SELECT total_count, sent_count FROM request WHERE kind = 'resend' ORDER BY request_id"
    )
    assert [tuple(row) for row in totals] == [(2, 2), (1, 1)]


async def test_an_object_is_whole_once_its_ranges_reach_from_end_to_end_however_they_were_cut(
    pool: Pool, audits: Audits
) -> None:
    ids = leads(6)
    comparison = Comparison(pool)
    await store(pool, ids)
    _, (request_id, _) = await begin(pool, SObject.LEAD, SObject.TASK)
    ranges = [
        told(request_id, ids[5:], after=ids[4]),
        told(request_id, ids[:2], to=ids[1]),
        # After an interruption it went on from before where it was.
        told(request_id, ids[1:4], after=ids[0], to=ids[3]),
        told(request_id, ids[2:3], after=ids[1], to=ids[2]),
    ]
    for one in ranges:
        await comparison.compare(one)
        await audits.page()
        assert (await states(pool))[1] == {"Lead": "comparing", "Task": "comparing"}
    await comparison.compare(told(request_id, ids[4:5], after=ids[3], to=ids[4]))
    await audits.page()
    assert await states(pool) == ("running", {"Lead": "done", "Task": "comparing"})
    assert (await findings(pool), await resends(pool)) == ({}, [])


async def test_too_much_that_is_absent_stops_an_audit_until_an_operator_allows_it(
    pool: Pool, audits: Audits, processor: Processor
) -> None:
    ids, new = leads(500), leads(1, first=600)
    await store(pool, ids)
    _, (request_id,) = await begin(pool)
    # 11 of 500: more than 10, and more than 1 %.
    await Comparison(pool).compare(told(request_id, [*ids[11:], *new]))
    for _ in range(2):
        await audits.page()
        assert await states(pool) == ("stopped", {"Lead": "stopped"})
        assert await resends(pool) == []

    async with pool.acquire() as connection:
        assert await operator.allow(connection, ORG_ID, []) == [SObject.LEAD]
    await audits.page()
    ((resend_id, asked),) = await resends(pool)
    assert asked == [*ids[:11], *new]
    assert await states(pool) == ("running", {"Lead": "healing"})
    answers = (absence(*ids[:11]), snapshot(state_of(new[0])))
    for answer in answers:
        await processor.process(received({**answer, "request_id": resend_id}))
    await audits.page()
    assert await states(pool) == ("done", {"Lead": "done"})
    assert await pool.fetchval("SELECT count(*) FROM record WHERE deleted") == 11


@pytest.mark.parametrize(("stored_count", "extra_count"), [(200, 10), (1200, 12)])
async def test_a_few_and_a_hundredth_may_be_absent(
    pool: Pool, audits: Audits, stored_count: int, extra_count: int
) -> None:
    ids = leads(stored_count)
    await store(pool, ids)
    _, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, ids[extra_count:]))
    await audits.page()
    assert [asked for _, asked in await resends(pool)] == [ids[:extra_count]]


async def test_what_caught_up_by_itself_is_not_asked_for(
    pool: Pool, audits: Audits, processor: Processor
) -> None:
    missing, stale, extra, late, gone = ids = leads(5)
    await store(pool, [extra, late])
    await store(pool, [stale, gone], at=AT - 1)
    _, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, [missing, stale, gone]))
    assert set(await findings(pool)) == set(ids)
    # Their changes were on their way: that of a deletion, too.
    await processor.process(
        received(inserted(*(lead(Id=one) for one in (missing, stale)), captured_at=AT + 1))
    )
    deletion = inserted(captured_at=AT + 1)
    deletion |= {"operation": "delete", "changes": [{"old": {"Id": one}} for one in (extra, gone)]}
    await processor.process(received(deletion))
    await audits.page()

    assert await healed(pool) == sorted([missing, stale, extra, gone])
    assert [asked for _, asked in await resends(pool)] == [[late]]


async def test_much_that_differs_is_asked_for_bit_by_bit(pool: Pool, audits: Audits) -> None:
    ids = leads(4500)
    _, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, ids))
    await audits.page()
    await audits.page()
    asked = await resends(pool)
    assert [len(record_ids) for _, record_ids in asked] == [200] * 20
    for resend_id, _ in asked[:5]:
        await acknowledge(pool, resend_id)
    await audits.page()
    later = [record_ids for _, record_ids in (await resends(pool))[15:]]
    assert [len(record_ids) for record_ids in later] == [200, 200, 100]
    assert later[-1][-1] == ids[-1]


async def test_what_was_acknowledged_and_never_came_is_given_up_after_a_while(
    pool: Pool, audits: Audits
) -> None:
    _, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, leads(1)))
    await audits.page()
    ((resend_id, _),) = await resends(pool)
    await acknowledge(pool, resend_id)
    await audits.page()
    assert await states(pool) == ("running", {"Lead": "healing"})
    await pool.execute("UPDATE request SET settled_at = now() - interval '1 hour'")
    await audits.page()
    assert await states(pool) == ("done", {"Lead": "done"})
    assert await healed(pool) == []


async def test_a_schedule_begins_an_audit_when_it_is_due_and_moves_on(
    pool: Pool, audits: Audits
) -> None:
    async with pool.acquire() as connection:
        await operator.set_schedule(connection, ORG_ID, 7)
    await audits.page()
    assert await pool.fetchval("SELECT count(*) FROM audit") == 0

    await pool.execute("UPDATE audit_schedule SET next_at = now() - interval '1 s'")
    await pool.execute("""UPDATE org SET conditions = '{"Lead": {}, "User": {}}'""")
    await audits.page()
    assert await states(pool) == ("running", {"Lead": "comparing", "User": "comparing"})
    assert await pool.fetchval("SELECT started_by FROM audit") == "schedule"
    next_in = "SELECT round(extract(epoch FROM next_at - now()) / 86400) FROM audit_schedule"
    assert await pool.fetchval(next_in) == 7

    # One that is under way will do.
    await pool.execute("UPDATE audit_schedule SET next_at = now() - interval '1 s'")
    await audits.page()
    assert await pool.fetchval("SELECT count(*) FROM audit") == 1
    assert await pool.fetchval(next_in) == 7


async def test_sweeps_at_once_begin_one_audit_and_ask_once(
    pool: Pool, audits: Audits, processor: Processor
) -> None:
    ids = leads(1000)
    await pool.execute("INSERT INTO audit_schedule VALUES ($1, 7, now() - interval '1 s')", ORG_ID)
    await asyncio.gather(*(audits.page() for _ in range(4)))
    assert await pool.fetchval("SELECT count(*) FROM audit") == 1

    request_id = await pool.fetchval("SELECT request_id FROM request WHERE object = 'Lead'")
    comparison = Comparison(pool)
    bounds = [None, *(ids[end - 1] for end in range(200, 1000, 200)), None]
    ranges = [
        told(request_id, ids[200 * n : 200 * n + 200], after=bounds[n], to=bounds[n + 1])
        for n in range(5)
    ]
    await asyncio.gather(
        *(comparison.compare(one) for one in ranges), *(audits.page() for _ in range(4))
    )
    await asyncio.gather(*(audits.page() for _ in range(4)))
    asked = await resends(pool)
    assert sorted(one for _, record_ids in asked for one in record_ids) == ids

    # Answers and sweeps meet at the same rows.
    async def answer(resend_id: int, record_ids: list[str]) -> None:
        states_ = (state_of(one) for one in record_ids)
        await processor.process(received(snapshot(*states_, request_id=resend_id)))

    await asyncio.gather(*(answer(*one) for one in asked), *(audits.page() for _ in range(8)))
    await audits.page()
    assert (await states(pool))[1]["Lead"] == "done"
    assert await healed(pool) == ids


async def test_an_audit_may_begin_before_the_org_has_said_that_the_last_one_is_done(
    pool: Pool, audits: Audits
) -> None:
    _, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, []))
    await audits.page()
    assert (await states(pool))[0] == "done"
    assert await pool.fetchval("SELECT state FROM request") == "done"
    # One whose sweep never came.
    await pool.execute("UPDATE request SET state = 'open'")
    await begin(pool)
    rows = await pool.fetch("SELECT state FROM request ORDER BY request_id")
    assert [row["state"] for row in rows] == ["withdrawn", "open"]


async def test_an_org_whose_schedule_fails_holds_up_no_other(pool: Pool, audits: Audits) -> None:
    await add_org(pool, OTHER_ORG_ID)
    await pool.execute(
        "INSERT INTO audit_schedule SELECT org_id, 7, now() - interval '1 minute' FROM org"
    )
    await pool.execute(f"ALTER TABLE audit ADD CHECK (org_id <> '{OTHER_ORG_ID}')")
    await audits.page()
    rows = await pool.fetch("SELECT org_id FROM audit")
    assert [row["org_id"] for row in rows] == [ORG_ID]
    in_hours = "SELECT round(extract(epoch FROM next_at - now()) / 3600) FROM audit_schedule"
    assert await pool.fetchval(f"{in_hours} WHERE org_id = $1", ORG_ID) == 7 * 24
    assert await pool.fetchval(f"{in_hours} WHERE org_id = $1", OTHER_ORG_ID) == 1


async def test_what_is_being_loaded_is_audited_later(pool: Pool, audits: Audits) -> None:
    async with pool.acquire() as connection:
        await ask_for_loads(connection, ORG_ID, list(SObject), Cause.COMMAND)
        await pool.execute("INSERT INTO audit_schedule SELECT org_id, 7, now() FROM org")
        await audits.page()
        assert await pool.fetchval("SELECT count(*) FROM audit") == 0
        await withdraw_loads(connection, ORG_ID, [SObject.TASK])
    await pool.execute("UPDATE audit_schedule SET next_at = now()")
    await audits.page()
    assert (await states(pool))[1] == {"Task": "comparing"}
