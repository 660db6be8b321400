"""How far requests came: counted with the records themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Raw

from pipeline.objects import SObject
from pipeline.requests import Cause, ask_for_loads
from tests.changes import OTHER_ORG_ID, add_org, received
from tests.integration.workers.healing.org import AT, HOUR_MS, begin, leads, store
from tests.salesforce import ORG_ID, now_ms
from tests.snapshots import absence, snapshot
from workers.processor import Outcome

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.processor import Processor


async def load(pool: Pool) -> int:
    """Ask for the leads of an org; return the request's id."""
    await add_org(pool)
    async with pool.acquire() as connection:
        await ask_for_loads(connection, ORG_ID, [SObject.LEAD], Cause.COMMAND)
    request_id: int = await pool.fetchval("SELECT request_id FROM request")
    return request_id


def page(record_ids: list[str], request_id: int, **keys: Any) -> dict[str, Any]:
    return snapshot(*({"Id": one} for one in record_ids), request_id=request_id, **keys)


async def progress(pool: Pool) -> tuple[str, int | None, int]:
    row = await pool.fetchrow("SELECT cursor, total_count, sent_count FROM request")
    assert row is not None
    return row["cursor"], row["total_count"], row["sent_count"]


async def test_a_load_moves_on_with_its_pages_whatever_order_they_come_in(
    pool: Pool, processor: Processor
) -> None:
    request_id, ids = await load(pool), leads(6)
    assert await progress(pool) == ("", None, 0)
    await processor.process(received(page(ids[2:4], request_id)))
    assert await progress(pool) == (ids[3], None, 2)
    # The first page says how many there are; it does not set back the walk.
    await processor.process(received(page(ids[:2], request_id, total=6)))
    assert await progress(pool) == (ids[3], 6, 4)
    await processor.process(received(page(ids[4:], request_id)))
    assert await progress(pool) == (ids[5], 6, 6)
    heard = "SELECT began_at < heard_at FROM request"
    assert await pool.fetchval(heard)
    assert await pool.fetchval("SELECT state FROM request") == "open"


async def test_pages_of_one_batch_are_counted_together_and_each_once(
    pool: Pool, processor: Processor
) -> None:
    request_id, ids = await load(pool), leads(6)
    pages = [page(ids[:3], request_id, total=6), page(ids[3:], request_id)]
    await processor.process(received(*pages, *pages))
    assert await progress(pool) == (ids[5], 6, 6)


async def test_what_answers_no_request_of_the_org_counts_for_none(
    pool: Pool, processor: Processor
) -> None:
    request_id, ids = await load(pool), leads(2)
    await add_org(pool, OTHER_ORG_ID)
    await processor.process(
        received(
            page(ids, request_id + 1),
            page(ids, request_id, org_id=OTHER_ORG_ID),
            snapshot({"Id": ids[0]}),
            absence(ids[0]),
        )
    )
    assert await progress(pool) == ("", None, 0)


async def test_a_bad_record_is_not_counted_and_holds_up_no_other(
    pool: Pool, processor: Processor
) -> None:
    request_id, ids = await load(pool), leads(3)
    bad = {"Id": ids[1], "Worth": Raw(b"1e200000")}
    outcome = await processor.process(
        received(snapshot({"Id": ids[0]}, bad, {"Id": ids[2]}, request_id=request_id))
    )
    assert outcome == Outcome(2, 1)
    assert await progress(pool) == (ids[2], None, 2)


async def test_an_answer_heals_what_it_leaves_right_and_nothing_that_a_newer_state_outdoes(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool)
    gone, edited = leads(2)
    read_at = now_ms() - HOUR_MS
    await store(pool, [gone])
    # Its edit was told; that it was deleted right after, and before the reading, was not.
    await store(pool, [edited], at=read_at - 1000)
    audit_id, _ = await begin(pool, SObject.LEAD)
    await pool.execute(
        """
        WITH asked AS (
            INSERT INTO request (org_id, kind, object, audit_id, cause, record_ids)
            VALUES ($1, 'resend', 'Lead', $2, 'audit', $3) RETURNING request_id)
        INSERT INTO audit_finding (audit_id, record_id, object, kind, stored_at, request_id)
        SELECT $2, unnest($3::text[]), 'Lead', 'extra', $4, request_id FROM asked""",
        ORG_ID,
        audit_id,
        [gone, edited],
        AT,
    )
    request_id = await pool.fetchval("SELECT request_id FROM request WHERE kind = 'resend'")
    await processor.process(received(absence(gone, edited, request_id=request_id, read_at=read_at)))
    rows = await pool.fetch("SELECT record_id FROM audit_finding WHERE healed_at IS NOT NULL")
    assert [row["record_id"] for row in rows] == [gone]
