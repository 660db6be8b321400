"""However many dead letters there are, a page, a count and a search go by indexes.

`DEAD_LETTERS=100000 make test ARGS='-s tests/integration/ops/dead_letters/test_plans.py'` prints
how long each takes with so many.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Final

import pytest

from ops import dead_letters
from ops.dead_letters import DeadFilter, DeadState
from pipeline.errors import Reason
from pipeline.objects import SObject
from tests.dead_letters import fill
from tests.salesforce import ORG_ID, now_ms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.database import Connection, Pool

COUNT: Final = int(os.environ.get("DEAD_LETTERS", "30000"))
LIMIT_S: Final = 0.2
READ_WHOLE: Final = re.compile(r"Seq Scan on dead_letter")
DAY_MS: Final = 86_400_000

FILTERS: Final = {
    "nothing": DeadFilter(),
    "any state": DeadFilter(state=None),
    "replayed": DeadFilter(state=DeadState.REPLAYED),
    "reason": DeadFilter(reason=Reason.RULE_FAILED),
    "reason and object": DeadFilter(reason=Reason.RULE_FAILED, object=SObject.TASK),
    "org": DeadFilter(org_id=ORG_ID),
    "another org": DeadFilter(org_id="00D000000000000AAA"),
    "record": DeadFilter(record_id="00Q5g0000001234AAA"),
    "capture": DeadFilter(capture_id="capture-12"),
    "rare word": DeadFilter(text="overflow"),
    "beginning of a word": DeadFilter(text="numeric field overf"),
    "frequent word": DeadFilter(text="number"),
    "no such word": DeadFilter(text="nowhere"),
    "no word to PostgreSQL": DeadFilter(text="½"),
    "frequent word, one reason": DeadFilter(text="good", reason=Reason.INVALID_RECORD),
    "old": DeadFilter(older_than=0),
    "new": DeadFilter(newer_than=0),
    "ids": DeadFilter(ids=(5, 10_000, 29_999)),
}


@pytest.mark.timeout(300)
async def test_lists_counts_and_searches_are_fast_and_read_no_table_whole(pool: Pool) -> None:
    await fill(pool, COUNT)
    slow: list[str] = []
    async with pool.acquire() as connection:
        for name, chosen in FILTERS.items():
            for what, ask in (("list", listed), ("group", dead_letters.grouped)):
                took_s, statements = await watched(connection, lambda: ask(connection, chosen))  # noqa: B023  called at once
                if took_s > LIMIT_S:  # once more: what else the machine did
                    took_s, _ = await watched(connection, lambda: ask(connection, chosen))  # noqa: B023  as above
                print(f"{name:28} {what:6} {took_s * 1000:7.1f} ms")  # noqa: T201  the measurement
                if took_s > LIMIT_S:
                    slow.append(f"{what} {name}: {took_s:.3f} s")
                for query, arguments in statements:
                    rows = await connection.fetch(f"EXPLAIN {query}", *arguments)
                    text = "\n".join(row[0] for row in rows)
                    if what == "list":
                        assert not READ_WHOLE.search(text), f"{name}\n{query}\n{text}"
    assert not slow


async def listed(connection: Connection, chosen: DeadFilter) -> object:
    return await dead_letters.listing(connection, chosen, limit=100)


async def test_counting_reads_one_index_and_no_row(pool: Pool) -> None:
    await fill(pool, COUNT)
    async with pool.acquire() as connection:
        for chosen in (
            DeadFilter(),
            DeadFilter(org_id=ORG_ID, reason=Reason.RULE_FAILED),
            DeadFilter(object=SObject.TASK, older_than=now_ms() - DAY_MS),
        ):
            _, statements = await watched(
                connection,
                lambda: dead_letters.grouped(connection, chosen),  # noqa: B023  called at once
            )
            ((query, arguments),) = statements
            rows = await connection.fetch(f"EXPLAIN {query}", *arguments)
            text = "\n".join(row[0] for row in rows)
            assert "Index Only Scan using dead_letter_counts" in text, text


async def watched(
    connection: Connection, ask: Callable[[], Awaitable[object]]
) -> tuple[float, list[tuple[str, tuple[object, ...]]]]:
    """Ask twice, as somebody who looks again does; return the second time and its statements."""
    await ask()
    asked: list[tuple[str, tuple[object, ...]]] = []
    with connection.query_logger(lambda one: asked.append((one.query, one.args))):
        started = time.monotonic()
        await ask()
        took_s = time.monotonic() - started
        await connection.fetchval("SELECT 1")
    return took_s, [one for one in asked if "dead_letter" in one[0]]
