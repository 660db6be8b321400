"""No key of a table lets one org's ids collide with another's: each has the org in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Collection

# Whose values orgs choose, or rules that are written for them.
OF_ORGS: Final = frozenset(
    {
        "record_id",
        "cause_record_id",
        "parent_id",
        "child_id",
        "successor_id",
        "actor_id",
        "capture_id",
        "transaction_id",
        "callout_id",
        "captured_at",
        "recipient",
        "address",
        "value",
        "mark",
        "sequence",
        "rule",
        "version",
        "object",
        "field",
        "after_id",
        "hour",
        "day",
        "conditions_version",
    }
)
# Each with what keeps the orgs apart.
APART_OTHERWISE: Final = {
    "audit_finding (audit_id, record_id)": "an audit is of one org",
    "audit_object (audit_id, object)": "an audit is of one org",
    "audit_range (audit_id, object, after_id, to_id)": "an audit is of one org",
    "tally (minute, process_id, object)": "counts what a process did, of every org together",
}
# Keys over what Penstock itself numbers, or makes at random, hold whatever the org.
NUMBERED: Final = {
    "action (action_id)",
    "audit (audit_id)",
    "bulk_run (run_id)",
    "console_token (token_id)",
    "dead_letter (dead_letter_id)",
    "enrollment (enrollment_id)",
    "enrollment_event (firing_id, action)",
    "firing (firing_id)",
    "forgetting (run_id)",
    "gap (gap_id)",
    "outbox (outbox_id)",
    "outbox (enrollment_id, generation, kind)",
    "process (process_id)",
    "reevaluation (reevaluation_id)",
    "request (request_id)",
    "schema_migration (number)",
    "waiting (waiting_id)",
    # Names that operators give.
    "console_token (name)",
    "relay_stop (target)",
    # Hashes: of a text that begins with the org, and of a whole message.
    "outbox (idempotency_key)",
    "dead_letter (message_hash)",
}
KEYS: Final = """
    SELECT relname AS table_name, array_agg(attname::text ORDER BY place) AS columns
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    CROSS JOIN LATERAL unnest(indkey::smallint[]) WITH ORDINALITY AS part (number, place)
    JOIN pg_attribute ON attrelid = indrelid AND attnum = part.number
    WHERE indisunique AND relnamespace = current_schema()::regnamespace AND NOT relispartition
    GROUP BY indexrelid, relname"""


async def test_every_key_over_what_orgs_choose_has_the_org_in_it(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(KEYS)
    finally:
        await connection.close()
    without = {_named(row["table_name"], row["columns"]) for row in rows if not _has_org(row)}
    # A new key has the org in it, or its reason above; one that went leaves none.
    assert without == APART_OTHERWISE.keys() | NUMBERED
    assert (
        not {
            _named(row["table_name"], row["columns"])
            for row in rows
            if not _has_org(row) and OF_ORGS.intersection(row["columns"])
        }
        - APART_OTHERWISE.keys()
    )


def _has_org(row: asyncpg.Record) -> bool:
    return "org_id" in row["columns"]


def _named(table: str, columns: Collection[str]) -> str:
    return f"{table} ({', '.join(columns)})"
