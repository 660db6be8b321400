"""Every column that can hold a record's values is known to what forgets, and found by an index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import asyncpg

from ops import forget
from ops.forget import people
from ops.forget.places import BY_INDEX, DELETIONS, MENTIONS, replacing
from tests import forgotten
from tests.changes import received
from tests.salesforce import ORG_ID, now_ms

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool
    from workers.processor import Processor

# What holds no value of a record, or is dealt with by hand in `ops.forget`.
BY_HAND: Final = {
    "dead_letter.original",
    "enrollment.recipient",
    "enrollment_event.recipient",
    "forgetting.addresses",
    "opt_out.address",
    "outbox.recipient",
    "suppression.value",
}
ROWS: Final = 20_000
FILL: Final = """
    WITH kept AS (
        INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                            transaction_id, callout_id, received_at, new)
        SELECT $1::bigint - n * 300000::bigint, 'kept-' || n,
               '00Q7g' || lpad(n::text, 10, '0') || 'AAA', $2, 'Lead', 'update', 0, 'tx-' || n,
               'msg', $1, '{}'
        FROM generate_series(1, $3::integer) AS n RETURNING *)
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    SELECT org_id, record_id, object, captured_at, 0, capture_id, false, '{}' FROM kept"""
# Ids, names of ours, times as text, what operators and documents say: nothing of a record.
HARMLESS: Final = re.compile(
    r"""(org|console_token|heartbeat|described_object|conditions_span|rule|rule_span|rule_hour
        |sequence|sequence_day|relay_stop|audit\w*|request|reference|traversal|process|tally
        |schema_migration|rule_epoch|record_end|delivery_try|redelivery|tombstone\w*|progress\w*
        )\.\w+
        |\w+\.(\w*_id|object|operation|rule|rules|sequence|state|reason|kind|way|stage|parents
              |child_object|cursor|target|routing_key|message_hash|idempotency_key|delayed_for
              |re_enroll|actor|action|created_by|driven_by)""",
    re.VERBOSE,
)
COLUMNS: Final = """
    SELECT table_name || '.' || column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name !~ '^change_\\d'
      AND data_type IN ('text', 'jsonb', 'json', 'bytea', 'ARRAY', 'character varying')"""


async def test_every_column_is_erased_searched_or_holds_no_value(pool: Pool) -> None:
    searched = {f"{place.table}.{name}" for place in MENTIONS for name in place.columns}
    there = {row[0] for row in await pool.fetch(COLUMNS)}

    # A new column: does it hold what a record says? Then it belongs into `ops/forget/places.py`.
    unknown = {one for one in there - searched - BY_HAND if not HARMLESS.fullmatch(one)}
    assert unknown == set()
    assert (searched | BY_HAND) - there == set()


async def test_no_page_reads_a_large_table_whole(
    pool: Pool, processor: Processor, database_url: str
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await pool.execute(FILL, now_ms() - 90_000, ORG_ID, ROWS)
    await pool.execute("ANALYZE")
    theirs = [forgotten.LEAD, forgotten.CONTACT, forgotten.TASK]
    likes, pattern = people.likes([forgotten.ADA]), people.pattern([forgotten.ADA])
    connection = await asyncpg.connect(database_url)
    plans = []
    for table in ("change", "record"):
        plans.append(await explain(connection, DELETIONS[table], ORG_ID, theirs, 500))
        place = next(one for one in MENTIONS if one.table == table)
        first = [0 if kind == "bigint" else "" for kind in place.key.values()]
        plans.append(
            await explain(connection, replacing(place), ORG_ID, 200, likes, pattern, *first)
        )
    history = people._IN_HISTORY  # noqa: SLF001  its very statement
    asked = (ORG_ID, 0, "", "", "", 200, ["Lead"], likes, pattern)
    plans.append(await explain(connection, history, *asked))
    await connection.close()
    for plan in plans:
        whole = re.findall(r"Seq Scan on (?:change_\w+|record)\b(?!.*cost=0\.00\.\.0\.00).*", plan)
        assert whole == [], plan


async def explain(connection: Connection, statement: str, *arguments: object) -> str:
    async with connection.transaction():
        await connection.execute(BY_INDEX)
        rows = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    return "\n".join(row[0] for row in rows)


async def test_a_named_record_alone_leaves_others_with_its_address(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    person = forget.named(ORG_ID, [], [forgotten.LEAD])
    async with pool.acquire() as connection:
        planned = await forget.plan(connection, person)
        run = await forget.begin(connection, person, actor="dpo")
    await forgotten.drive(pool, run)

    assert [one.record_id for one in planned.records] == [forgotten.LEAD, forgotten.TASK]
    assert planned.other_addresses == [forgotten.ADA]
    kept = {row[0] for row in await pool.fetch("SELECT record_id FROM record")}
    assert kept == {forgotten.CONTACT, forgotten.BOB, forgotten.OTHER_TASK}
