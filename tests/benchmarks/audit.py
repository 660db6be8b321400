"""How fast what an org has is compared with what is stored, against reading the same rows.

    python -m tests.benchmarks.audit --records 2000000

Fills a database of its own, sends digests of every record through `Comparison`, 2,000 a range, and
prints the rate, that of a plain `SELECT` of the same rows by one client, their ratio, and the
process's memory at the beginning and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from typing import TYPE_CHECKING, Final

import asyncpg

from ops.stack import PrivatePostgres
from pipeline.audit import AuditRange
from pipeline.objects import SObject
from pipeline.requests import StartedBy, begin_audit
from tests.servers import database_at, execute, migrated, open_folder
from workers.healing.comparison import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterator

ORG_ID: Final = "00D5g000004XyzAEAS"
RANGE_COUNT: Final = 2000
READ_AT: Final = 1_795_430_400_000
MODSTAMP: Final = READ_AT - 86_400_000
_FILL: Final = """
    INSERT INTO record
    SELECT $1, '00Q5g0000' || lpad(n::text, 9, '0'), 'Lead', $2, 0, 'c', false,
           jsonb_build_object('Id', '00Q5g0000' || lpad(n::text, 9, '0'), 'Name', repeat('x', 300))
    FROM generate_series($3::bigint, $4::bigint) AS n"""
_SELECT: Final = """
    SELECT record_id, captured_at FROM record
    WHERE org_id = $1 AND object = 'Lead' AND NOT deleted AND record_id > $2 AND record_id <= $3
    ORDER BY record_id"""


def ids(first: int, last: int) -> Iterator[str]:
    """Return the ids of records first to last."""
    return (f"00Q5g0000{n:09d}" for n in range(first, last + 1))


def ranges(audit_id: int, record_count: int) -> Iterator[AuditRange]:
    """Return the callouts of an org with so many leads."""
    previous = None
    for first in range(1, record_count + 1, RANGE_COUNT):
        last = min(first + RANGE_COUNT - 1, record_count)
        own = list(ids(first, last))
        to_id = None if last == record_count else own[-1]
        yield AuditRange(
            version=1,
            org_id=ORG_ID,
            audit_id=audit_id,
            read_at=READ_AT,
            object=SObject.LEAD,
            after_id=previous,
            to_id=to_id,
            records=[(record_id, MODSTAMP) for record_id in own],
        )
        previous = to_id


async def measure(url: str, record_count: int) -> None:
    """Fill, select, compare; print."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        await pool.execute("INSERT INTO org (org_id, sync_user_id) VALUES ($1, 'u')", ORG_ID)
        for first in range(1, record_count + 1, 100_000):
            last = min(first + 99_999, record_count)
            await pool.execute(_FILL, ORG_ID, MODSTAMP, first, last)
        await pool.execute("VACUUM ANALYZE record")
        async with pool.acquire() as connection:
            audit_id = await begin_audit(connection, ORG_ID, [SObject.LEAD], StartedBy.COMMAND)
            request_id = await connection.fetchval("SELECT request_id FROM request")
        select_s = 0.0
        for turn in range(2):
            began = time.perf_counter()
            previous = ""
            for first in range(1, record_count + 1, RANGE_COUNT):
                (last_id,) = ids(*[min(first + RANGE_COUNT - 1, record_count)] * 2)
                await pool.fetch(_SELECT, ORG_ID, previous, last_id)
                previous = last_id
            select_s = time.perf_counter() - began
            print(f"plain SELECT, turn {turn}: {record_count / select_s:,.0f} rows/s")
        comparison = Comparison(pool)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        for told in ranges(request_id, record_count):
            await comparison.compare(told)
        compare_s = time.perf_counter() - began
        after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        counts = await pool.fetchrow(
            "SELECT compared_count, stored_count FROM audit_object WHERE audit_id = $1", audit_id
        )
        print(f"compared: {record_count / compare_s:,.0f} rows/s {tuple(counts or ())}")
        print(f"ratio to plain SELECT: {select_s / compare_s:.2f}")
        print(f"peak memory: {before_kb / 1024:.0f} MB before, {after_kb / 1024:.0f} MB after")


async def main(record_count: int) -> None:
    """Measure on a PostgreSQL of its own."""
    with open_folder() as folder:
        server = PrivatePostgres(folder / "postgres")
        await server.start()
        try:
            await execute(server.url, "CREATE DATABASE audit")
            await migrated(database_at(server.url, "audit"))
            await measure(database_at(server.url, "audit"), record_count)
        finally:
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=2_000_000)
    asyncio.run(main(parser.parse_args().records))
