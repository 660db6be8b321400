"""What a batch asks of a long history and of many records goes by an index, a partition or none."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

import asyncpg

from tests.changes import QUALIFIED_RULE, add_org, lead, received, updated
from tests.salesforce import ORG_ID, now_ms
from workers.history import read_history
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

ROWS: Final = 30_000
DAY_MS: Final = 86_400_000
DAYS: Final = 80
FILL: Final = """
    WITH kept AS (
        INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                            transaction_id, callout_id, received_at, new)
        SELECT $1::bigint - n * $2::bigint / $3::bigint, 'kept-' || n,
               '00Q5g' || lpad(n::text, 10, '0') || 'AAA', $4, 'Lead', 'update', 0, 'tx-' || n,
               'msg', $1, '{}'
        FROM generate_series(1::bigint, $3) AS n
        RETURNING *)
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    SELECT org_id, record_id, object, captured_at, sequence, capture_id, false, '{}' FROM kept"""
FIRED: Final = """
    INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version, object, captured_at,
                        sequence, capture_id, evidence)
    SELECT org_id, transaction_id, record_id, 'kept', 1, object, captured_at, 0, capture_id, '[]'
    FROM change"""
# What has fewer pages than an index would cost is not large: the oldest partition may have a few
# hours of a week, by the time of day at which the test runs.
READ_WHOLE: Final = re.compile(
    r"Seq Scan on (?:change_\w+|record|firing)\b(?!.*cost=0\.00\.\.\d\.\d\d ).*"
)


def kept(number: int) -> str:
    return f"00Q5g{number:010}AAA"


async def fill(pool: Pool) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    await pool.execute(FILL, now_ms() - DAY_MS, DAYS * DAY_MS, ROWS, ORG_ID)
    await pool.execute(FIRED)
    await pool.execute("ANALYZE")


async def test_no_statement_of_a_batch_reads_a_large_table_whole(database_url: str) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []

    async def listen(connection: Connection) -> None:
        connection.add_query_logger(lambda one: asked.append((one.query, one.args)))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, init=listen) as pool:
        await fill(pool)
        processor = Processor(pool, retention_days=90)
        for turn in range(3):
            asked.clear()
            callouts = (
                updated(
                    lead(Id=kept(number), Status="Open"),
                    lead(Id=kept(number), Email=f"lead{turn}-{number}@example.com"),
                )
                for number in range(1, 101)
            )
            await processor.process([one for each in callouts for one in received(each)])
        assert await pool.fetchval("SELECT count(*) FROM outbox") == 300
        statements = [one for one in asked if "$1" in one[0] and "FROM pg_catalog" not in one[0]]
        assert len(statements) > 5
        for query, arguments in statements:
            plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {query}", *arguments))
            assert not READ_WHOLE.findall(plan), f"{query}\n{plan}"


async def test_one_change_is_read_by_an_index_of_its_own_partition(database_url: str) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        await fill(pool)
        row = await pool.fetchrow("SELECT * FROM change WHERE capture_id = 'kept-20000'")
        assert row is not None
        key = (row["captured_at"], row["capture_id"], row["record_id"], row["org_id"])
        async with pool.acquire() as connection:
            with connection.query_logger(lambda one: asked.append((one.query, one.args))):
                assert list(await read_history(connection, [key])) == [key]
                # asyncpg tells in the loop's next round.
                await asyncio.sleep(0)
            query, arguments = next(one for one in asked if "LATERAL" in one[0])
            rows = await connection.fetch(f"EXPLAIN (ANALYZE) {query}", *arguments)
    scans = [row[0] for row in rows if " on change_" in row[0]]
    assert len(scans) > DAYS // 7
    (executed,) = (scan for scan in scans if "never executed" not in scan)
    assert "Index Scan using change_" in executed
