"""How fast `penstock rules test` goes, against reading the same rows with plain SQL.

Run by hand: `python -m tests.benchmarks.rules_test --changes 1000000`. It fills a private
PostgreSQL with a week of edits of full-width leads (about 3 kB old and new), and takes turns
reading them plainly and trying rules on them. With --folder the database is kept and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import time
from collections import Counter, defaultdict
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from ops import orgs
from ops.rule_trial import read_documents, try_rules
from ops.sample.records import SampleOrg
from ops.stack import PrivatePostgres
from tests.benchmarks.history import SEED, fill
from tests.salesforce import RULE
from tests.servers import migrated, open_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.database import Connection

_DAY_MS: Final = 86_400_000
_WEEK_MS: Final = 7 * _DAY_MS
# One field of it is set on no record, as a field that is null is.
_ABSENT_RULE: Final = RULE.replace("hot-leads", "absent").replace("AnnualRevenue", "Budget__c")
_SEVERAL_RULES: Final = "---\n".join(
    RULE.replace("hot-leads", f"leads-{number}").replace("Qualified", status)
    for number, status in enumerate(("Qualified", "Working", "Open", "Nurturing", "Closed"))
)
_KINDS: Final = {
    "one rule": RULE,
    "one rule, a field of which is null": _ABSENT_RULE,
    "five rules": _SEVERAL_RULES,
}

# The plain ways to read the same rows with the columns that a trial needs.
_COLUMNS: Final = """
    SELECT captured_at, capture_id, record_id, object, operation, sequence, transaction_id,
           actor_id, received_at, old, new FROM change
    WHERE org_id = $1 AND object = 'Lead' AND operation IN ('insert', 'update')
      AND captured_at >= $2 AND captured_at < $3"""
_KEYSET: Final = (
    _COLUMNS
    + """ AND (captured_at, capture_id, record_id, org_id) > ($4, $5, $6, $1)
    ORDER BY captured_at, capture_id, record_id, org_id LIMIT 2000"""
)


async def read_by_cursor(connection: Connection, span: tuple[str, int, int]) -> int:
    """Read through a server-side cursor; return how many rows there were."""
    count = 0
    async with connection.transaction():
        async for _ in connection.cursor(_COLUMNS, *span, prefetch=2000):
            count += 1
    return count


async def read_by_pages(connection: Connection, span: tuple[str, int, int]) -> int:
    """Read pages by the history's key; return how many rows there were."""
    count = 0
    last: tuple[Any, ...] = (span[1], "", "")
    while True:
        rows = await connection.fetch(_KEYSET, *span, *last)
        if not rows:
            return count
        count += len(rows)
        last = tuple(rows[-1])[:3]


async def try_on(
    reading: Connection, asking: Connection, text: str, span: tuple[str, int, int]
) -> int:
    """Try rules; return how many changes they were shown."""
    org_id, since_ms, until_ms = span
    trial = await try_rules(
        reading,
        asking,
        org_id,
        read_documents([("benchmark.yaml", text)]),
        since_ms=since_ms,
        until_ms=until_ms,
        sample_count=5,
    )
    return trial.changes


async def measure(url: str, span: tuple[str, int, int], slice_count: int) -> None:
    """Print rates and ratios.

    All ways take turns on one slice of the span after the other, so that whatever else the machine
    does comes to all of them alike.
    """
    org_id, first, end = span
    edges = [first + (end - first) * edge // slice_count for edge in range(slice_count + 1)]
    reading, asking = await asyncpg.connect(url), await asyncpg.connect(url)
    ways: dict[str, Callable[[tuple[str, int, int]], Awaitable[int]]] = {
        "plain SQL, cursor": lambda part: read_by_cursor(reading, part),
        "plain SQL, pages": lambda part: read_by_pages(reading, part),
        **{kind: partial(try_on, reading, asking, text) for kind, text in _KINDS.items()},
    }
    counts: Counter[str] = Counter()
    times_s: defaultdict[str, float] = defaultdict(float)
    try:
        for part in pairwise(edges):
            for name, read in ways.items():
                started = time.perf_counter()
                counts[name] += await read((org_id, *part))
                times_s[name] += time.perf_counter() - started
    finally:
        await reading.close()
        await asking.close()
    assert len(set(counts.values())) == 1, counts
    rates = {name: counts[name] / times_s[name] for name in ways}
    plain = max(rate for name, rate in rates.items() if name.startswith("plain"))
    for name, rate in rates.items():
        print(f"{rate:>9,.0f} changes/s  {rate / plain:.2f}  {name}")


async def main(change_count: int, slice_count: int, folder: Path) -> None:
    """Fill the database, unless it is filled already, and measure."""
    server = PrivatePostgres(folder / "postgres")
    await server.start()
    try:
        await migrated(server.url)
        org = SampleOrg(SEED)
        connection = await asyncpg.connect(server.url)
        found = await connection.fetchval("SELECT count(*) FROM change")
        if not found:
            await orgs.add(connection, org.org_id, str(org.sync_user["Id"]))
            now_ms = time.time_ns() // 1_000_000
            started = time.perf_counter()
            await fill(connection, org, change_count, since_ms=now_ms - _WEEK_MS, until_ms=now_ms)
            print(f"filled in {time.perf_counter() - started:.0f} s")
            await connection.execute("VACUUM (ANALYZE) change", timeout=None)
        first, last = [
            await connection.fetchval(f"SELECT {end}(captured_at) FROM change")  # noqa: S608  min or max
            for end in ("min", "max")
        ]
        mean_bytes = await connection.fetchval(
            "SELECT avg(octet_length(old) + octet_length(new))::integer"
            " FROM (SELECT old, new FROM change LIMIT 10000) AS sampled"
        )
        size = await connection.fetchval(
            "SELECT pg_size_pretty(sum(pg_total_relation_size(inhrelid))) FROM pg_inherits"
        )
        await connection.close()
        print(
            f"{change_count:,} changes of {mean_bytes:,} bytes (old and new), {size};"
            f" {os.cpu_count()} processors, {platform.machine()}, Python"
            f" {platform.python_version()}"
        )
        await measure(server.url, (org.org_id, first, last + 1), slice_count)
    finally:
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="keep the database here")
    options = parser.parse_args()
    place: AbstractContextManager[Path] = (
        open_folder() if options.folder is None else nullcontext(options.folder)
    )
    with place as opened:
        asyncio.run(main(options.changes, options.slices, opened))
