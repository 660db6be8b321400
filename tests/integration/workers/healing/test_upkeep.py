"""What healing leaves behind goes with the history; what is still read stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.objects import SObject
from pipeline.requests import Cause, ask_for_loads
from tests.changes import add_org
from tests.integration.workers.healing.org import begin, leads, told
from tests.salesforce import ORG_ID
from workers.healing.comparison import Comparison
from workers.healing.upkeep import clear

if TYPE_CHECKING:
    from pipeline.database import Pool

COUNTS = """
    SELECT (SELECT count(*) FROM audit) AS audit,
           (SELECT count(*) FROM audit_object) AS audit_object,
           (SELECT count(*) FROM audit_range) AS audit_range,
           (SELECT count(*) FROM audit_finding) AS audit_finding,
           (SELECT count(*) FROM request) AS request,
           (SELECT count(*) FROM gap) AS gap"""


async def counts(pool: Pool) -> dict[str, int]:
    row = await pool.fetchrow(COUNTS)
    assert row is not None
    return dict(row)


async def run_audit(pool: Pool, *, days_ago: int) -> None:
    """Run an audit that finds three leads missing, and was over so many days ago."""
    audit_id, (request_id,) = await begin(pool)
    await Comparison(pool).compare(told(request_id, leads(3)))
    await pool.execute(
        "UPDATE audit SET state = 'done', settled_at = now() - $2 * interval '1 day'"
        " WHERE audit_id = $1",
        audit_id,
        days_ago,
    )


async def load(pool: Pool, *, days_ago: int) -> None:
    async with pool.acquire() as connection:
        await ask_for_loads(connection, ORG_ID, [SObject.LEAD], Cause.COMMAND)
    await pool.execute(
        "UPDATE request SET state = 'done', settled_at = now() - $1 * interval '1 day'"
        " WHERE state = 'open' AND kind = 'load'",
        days_ago,
    )


async def gap(pool: Pool, *, days_ago: int | None) -> None:
    await pool.execute(
        """
        INSERT INTO gap (org_id, record_id, object, captured_at, sequence, capture_id, stored_at,
                         stored_sequence, stored_capture_id, fields, state, due_at, settled_at)
        SELECT $1, '00Q', 'Lead', coalesce($2, 0), 0, 'c', 0, 0, 's', '{}',
               CASE WHEN $2::integer IS NULL THEN 'suspected' ELSE 'confirmed' END, now(),
               now() - $2 * interval '1 day'""",
        ORG_ID,
        days_ago,
    )


async def test_what_was_settled_before_the_history_begins_is_cleared_away(pool: Pool) -> None:
    await add_org(pool)
    for days_ago in (100, 80, 1):
        await run_audit(pool, days_ago=days_ago)
        await load(pool, days_ago=days_ago)
        await gap(pool, days_ago=days_ago)
    await gap(pool, days_ago=None)
    before = await counts(pool)
    await clear(pool, retention_days=90)
    gone = {table: before[table] - count for table, count in (await counts(pool)).items()}
    assert gone == {
        "audit": 1,
        "audit_object": 1,
        "audit_range": 1,
        "audit_finding": 3,
        "request": 2,
        "gap": 1,
    }


async def test_the_newest_audit_and_load_stay_however_old_they_are(pool: Pool) -> None:
    await add_org(pool)
    await run_audit(pool, days_ago=900)
    await load(pool, days_ago=900)
    before = await counts(pool)
    await clear(pool, retention_days=90)
    assert await counts(pool) == before
