"""The same accepted callouts without any fault, and what both databases hold in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

from ops import orgs, rule_store
from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.changes import received
from tests.chaos.records import ORG_IDS
from tests.chaos.servers import RETENTION_DAYS
from tests.salesforce import SYNC_USER_ID
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.chaos.records import Callout
    from tests.chaos.servers import Servers

    # A row's key, and the rest of it.
    State = dict[tuple[object, ...], tuple[object, ...]]

_CALLOUTS_PER_BATCH: Final = 100
# Each query: what must come out the same whatever happened on the way; (columns of the key).
_QUERIES: Final = {
    "change": (
        4,
        """SELECT org_id, capture_id, record_id, captured_at, object, operation, sequence,
                  transaction_id, actor_id, old, new FROM change""",
    ),
    "record": (
        2,
        """SELECT org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                  fields::text FROM record""",
    ),
    "firing": (
        4,
        """SELECT org_id, transaction_id, record_id, rule, rule_version, object, captured_at,
                  sequence, capture_id, evidence::text FROM firing""",
    ),
    "enrollment_event": (
        7,
        """SELECT event.org_id, event.sequence, event.recipient, firing.transaction_id,
                  event.record_id, event.rule, action, kind, event.captured_at,
                  event.capture_sequence, event.capture_id, event.variables::text
           FROM enrollment_event AS event LEFT JOIN firing USING (firing_id)""",
    ),
    # A row may stay of someone who turned out never to have been enrolled.
    "enrollment": (
        3,
        """SELECT org_id, sequence, recipient, generation, exited_generation,
                  generation > exited_generation, variables::text
           FROM enrollment WHERE generation > 0""",
    ),
    "call": (
        1,
        "SELECT idempotency_key, rule, recipient, payload::text FROM outbox WHERE kind = 'call'",
    ),
}


async def set_up(database_url: str, rules: str) -> dict[str, str]:
    """Register every org with its rules; return the connect code of each."""
    connection = await asyncpg.connect(database_url)
    try:
        codes = {}
        for org_id in ORG_IDS:
            codes[org_id] = (await orgs.add(connection, org_id, SYNC_USER_ID)).connect_code
            await rule_store.apply(connection, org_id, [("rules.yaml", rules)])
        return codes
    finally:
        await connection.close()


async def without_faults(servers: Servers, callouts: Sequence[Callout], rules: str) -> str:
    """Have one worker's core work off all callouts in a new database; return its name."""
    name = await servers.new_database()
    url = servers.database_url(name, servers.port_of_database())
    await set_up(url, rules)
    async with open_pool(Database(url=Secret(url)), "chaos reference") as pool:
        processor = Processor(pool, retention_days=RETENTION_DAYS)
        for first in range(0, len(callouts), _CALLOUTS_PER_BATCH):
            batch = callouts[first : first + _CALLOUTS_PER_BATCH]
            await processor.process(received(*(callout.body for callout in batch)))
    return name


async def state_of(url: str) -> dict[str, State]:
    """Return what a database holds, table by table.

    Raises:
        AssertionError: two rows of a table are of one thing.
    """
    connection = await asyncpg.connect(url)
    try:
        return {table: await _read(connection, table) for table in _QUERIES}
    finally:
        await connection.close()


async def _read(connection: asyncpg.Connection[asyncpg.Record], table: str) -> State:
    key_count, query = _QUERIES[table]
    rows = [tuple(row.values()) for row in await connection.fetch(query)]
    state = {row[:key_count]: row[key_count:] for row in rows}
    assert len(state) == len(rows), f"{len(rows) - len(state)} rows of {table} are doubled"
    return state
