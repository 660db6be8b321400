"""Records that look each other up, rules that follow them, and what came of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from pipeline.objects import long_id
from tests.changes import received
from tests.salesforce import callout
from workers.processor import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection, Pool
    from workers.lookups.sweep import Sweep
    from workers.processor import Processor

ACCOUNT: Final = long_id("0015g00000Accou")
OTHER_ACCOUNT: Final = long_id("0015g00000Other")
USER: Final = long_id("0055g00000Owner")
CONTACT: Final = long_id("0035g00000Conta")
OPPORTUNITY: Final = long_id("0065g00000Oppor")
TASK: Final = long_id("00T5g00000TaskT")

INDUSTRY: Final = """\
rule: tech
object: Contact
on: [insert, update, undelete]
when: [{field: Account.Industry, equals: Tech}]
then: [{add_to_sequence: tech, recipient: Email}]
"""
TURNED: Final = INDUSTRY.replace("rule: tech", "rule: turned").replace("equals", "changed_to")
TWO_LEVELS: Final = """\
rule: owned
object: Opportunity
on: [insert, update]
when: [{field: Account.Owner.IsActive, equals: true}]
then: [{add_to_sequence: owned, recipient: Email__c}]
"""

FIRED: Final = """
    SELECT rule, record_id, cause_record_id, transaction_id FROM firing
    ORDER BY captured_at, sequence, capture_id, record_id, rule"""
LEFT: Final = """
    SELECT (SELECT count(*) FROM waiting) AS waiting,
           (SELECT count(*) FROM reevaluation) AS reevaluation"""

Fired = tuple[str, str, str | None, str]


def account(industry: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"Id": ACCOUNT, "Industry": industry, **fields}


def contact(**fields: Any) -> dict[str, Any]:
    return {"Id": CONTACT, "AccountId": ACCOUNT, "Email": "ana@example.com", **fields}


def user(*, active: bool) -> dict[str, Any]:
    return {"Id": USER, "IsActive": active}


def opportunity(**fields: Any) -> dict[str, Any]:
    return {"Id": OPPORTUNITY, "AccountId": ACCOUNT, "Email__c": "ana@example.com", **fields}


def object_of(record: dict[str, Any]) -> str:
    prefixes = {"001": "Account", "003": "Contact", "005": "User", "006": "Opportunity"}
    return {**prefixes, "00Q": "Lead", "00T": "Task"}[record["Id"][:3]]


async def changed(
    processor: Processor,
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
    **keys: Any,
) -> str:
    """Process one record's change; return its transaction."""
    record = new or old
    assert record is not None
    operation = "insert" if old is None else "delete" if new is None else "update"
    sides = {name: side for name, side in (("old", old), ("new", new)) if side is not None}
    body = callout([sides], **{"object": object_of(record), "operation": operation, **keys})
    assert await processor.process(received(body)) == Outcome(1, 0)
    return str(body["transaction_id"])


async def swept(sweep: Sweep) -> None:
    """Sweep until nothing is left to be done at once."""
    while await sweep.once():
        pass


async def fired(pool: Pool) -> list[Fired]:
    return [tuple(row) for row in await pool.fetch(FIRED)]


async def left(pool: Pool) -> tuple[int, int]:
    """Return how many rows wait, and how many are to be re-evaluated."""
    row = await pool.fetchrow(LEFT)
    assert row is not None
    return row["waiting"], row["reevaluation"]


@asynccontextmanager
async def written_by_nobody(pool: Pool, table: str) -> AsyncIterator[Connection]:
    """Stop whoever writes to a table, in the middle of a transaction, until the block ends."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield connection


async def until_stopped(pool: Pool, table: str, count: int = 1) -> None:
    """Return once so many transactions wait for a table."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = $1::text::regclass"
    async with asyncio.timeout(20):
        while await pool.fetchval(query, table) < count:
            pass
