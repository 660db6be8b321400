"""What healing leaves behind goes with the history; what is still read stays."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline.objects import SObject
from pipeline.requests import Cause, StartedBy, ask_for_loads, begin_audit
from tests.changes import OTHER_ORG_ID, add_org
from tests.integration.workers.healing.org import begin, leads, told
from tests.salesforce import ORG_ID
from workers.healing.comparison import Comparison
from workers.upkeep import RULES, Cleared, clear

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
    # That another org has newer ones makes no difference.
    await add_org(pool, OTHER_ORG_ID)
    async with pool.acquire() as connection:
        await begin_audit(connection, OTHER_ORG_ID, [SObject.LEAD], StartedBy.COMMAND)
        await ask_for_loads(connection, OTHER_ORG_ID, [SObject.LEAD], Cause.COMMAND)
    before = await counts(pool)
    await clear(pool, retention_days=90)
    assert await counts(pool) == before


async def test_every_table_there_is_has_a_rule(pool: Pool) -> None:
    rows = await pool.fetch("""
        SELECT relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
          AND NOT relispartition""")
    assert {row["relname"] for row in rows} == RULES.keys()


async def test_calls_are_cleared_away_and_the_words_of_enrolments_stay(pool: Pool) -> None:
    await pool.execute("""
        WITH kept AS (
            INSERT INTO enrollment (org_id, sequence, recipient, state, generation)
            VALUES ('o', 's', 'a', 'active', 1) RETURNING enrollment_id)
        INSERT INTO outbox (enrollment_id, generation, kind, org_id, target, recipient,
                            idempotency_key, state, settled_at)
        SELECT enrollment_id, 1, 'add', 'o', 'webhook', 'a', 'enr_1', 'delivered',
               now() - interval '900 days' FROM kept""")
    await pool.execute("""
        INSERT INTO outbox (kind, org_id, target, recipient, idempotency_key, state, settled_at)
        SELECT 'call', 'o', 'https://x', 'r', 'call_' || days,
               CASE WHEN days IS NULL THEN 'open' ELSE 'delivered' END,
               now() - make_interval(days => days)
        FROM unnest(ARRAY[900, 99, 97, 0]) AS days
        UNION ALL SELECT 'call', 'o', 'https://x', 'r', 'call_open', 'open', NULL""")
    # More than a page of them.
    await pool.execute("""
        INSERT INTO outbox (kind, org_id, target, recipient, idempotency_key, state, settled_at)
        SELECT 'call', 'o', 'https://x', 'r', 'old_' || n, 'delivered', now() - interval '900 days'
        FROM generate_series(1, 2500) AS n""")
    await clear(pool, retention_days=90)
    left = await pool.fetch("SELECT idempotency_key FROM outbox ORDER BY 1")
    assert [row[0] for row in left] == ["call_0", "call_97", "call_open", "enr_1"]


async def test_what_is_cleared_away_is_found_by_an_index_however_much_stays(pool: Pool) -> None:
    await pool.execute("""
        INSERT INTO outbox (kind, org_id, target, recipient, idempotency_key, state, settled_at)
        SELECT CASE WHEN n % 10 = 0 THEN 'call' ELSE 'add' END, 'o', 'https://x', 'r', n,
               'delivered', now() - n * interval '1 minute'
        FROM generate_series(1, 30000) AS n""")
    await pool.execute("""
        INSERT INTO waiting (org_id, record_id, captured_at, capture_id, rule, rule_version, object,
                             parents, state, expires_at, settled_at)
        SELECT 'o', n, 0, 'c', 'r', 1, 'Lead', '{}', 'expired', now(),
               now() - n * interval '1 minute'
        FROM generate_series(1, 20000) AS n""")
    await pool.execute("""
        INSERT INTO dead_letter (org_id, object, operation, capture_id, record_id, reason, error,
                                 original, callout_id, captured_at, received_at, state, settled_at)
        SELECT 'o', 'Lead', 'insert', n, 'r', 'invalid_record', 'no', '', 'm', 0, 0, 'discarded',
               now() - n * interval '1 minute'
        FROM generate_series(1, 20000) AS n""")
    await pool.execute("""
        INSERT INTO redelivery
        SELECT (extract(epoch FROM now()) * 1000)::bigint - n * 60000, n, 'r', 'o', 1, now()
        FROM generate_series(1, 20000) AS n""")
    await pool.execute("ANALYZE")
    for table, index in {
        "outbox": "outbox_calls_settled",
        "waiting": "waiting_settled",
        "dead_letter": "dead_letter_settled",
        "redelivery": "redelivery_pkey",
    }.items():
        rule = RULES[table]
        assert isinstance(rule, Cleared)
        plan = await pool.fetch(f"EXPLAIN {rule.statement(table)}", timedelta(days=98), 1000)
        text = "\n".join(row[0] for row in plan)
        assert f"using {index} on {table}" in text, text
        assert f"Seq Scan on {table}" not in text, text
