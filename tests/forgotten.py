"""Ada, who will be forgotten, and Bob beside her, with all that is left of both."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops import bulk_runs, forget
from pipeline import envelope
from tests.changes import add_org, inserted, message, record_ids, updated
from tests.salesforce import ORG_ID, callout, now_ms

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from ops.forget import Person
    from pipeline.database import Pool

ADA: Final = "ada@example.com"
# Whatever tells of her: in no table and no dump once she is forgotten.
CANARIES: Final = (ADA, "Lovelace-Canary", "+44-20-5551234")
LEAD, CONTACT, BOB = islice(record_ids("00Q"), 3)
TASK, OTHER_TASK = islice(record_ids("00T"), 2)
PERSON: Final = {"Email": "Ada@Example.com", "LastName": CANARIES[1], "Phone": CANARIES[2]}
RULE: Final = """\
rule: qualified
object: Lead
on: [insert, update]
when: [{field: LastName, is_set: true}, {field: Status, equals: Qualified}]
then:
  - {add_to_sequence: nurture, recipient: Email, variables: {name: LastName, phone: Phone}}
  - {webhook: "https://hooks.example.com/x", fields: {name: LastName}}
---
rule: owners
object: Lead
on: [insert, update]
when: [{field: Status, equals: Qualified}]
then: [{add_to_sequence: alerts, recipient: OwnerEmail__c, variables: {name: LastName}}]
"""
# All of a database, row by row, as text.
_TABLES: Final = """
    SELECT c.oid::regclass::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname = 'public' AND relkind = 'r' ORDER BY 1"""


def callouts() -> list[dict[str, Any]]:
    """Return what an org sends of both, long enough ago for any clock."""
    at = now_ms() - 60_000
    old = {"Id": LEAD, **PERSON, "Email": "former@example.com", "Status": "Open"}
    ada = {"Id": LEAD, **PERSON, "Status": "Qualified", "OwnerEmail__c": "rep@example.com"}
    bob = {"Id": BOB, "Email": "bob@example.com", "LastName": "Bob", "Status": "Qualified"}
    bob |= {"OwnerEmail__c": "rep@example.com", "Phone": "1"}
    return [
        inserted(bob, captured_at=at),
        updated(old, ada, captured_at=at + 1),
        inserted(
            {"Id": CONTACT, **PERSON, "Status": "Open", "HasOptedOutOfEmail": True},
            captured_at=at + 2,
        ),
        callout(
            [{"new": {"Id": TASK, "WhoId": LEAD, "Subject": f"Call {CANARIES[1]}"}}],
            object="Task",
            operation="insert",
            captured_at=at + 3,
        ),
        callout(
            [
                {
                    "new": {
                        "Id": OTHER_TASK,
                        "WhoId": BOB,
                        "Description": f"Cc:\n{ADA}, nada@example.com",
                    }
                }
            ],
            object="Task",
            operation="insert",
            captured_at=at + 4,
        ),
    ]


def dead_message() -> bytes:
    """Return a message that the broker gave up: a callout of both."""
    both = [{"new": {"Id": BOB, "LastName": "Bob"}}, {"new": {"Id": LEAD, **PERSON}}]
    return message(callout(both, operation="insert"))


async def people(pool: Pool) -> None:
    """Add the org with its rules."""
    await add_org(pool, ORG_ID, RULE)


async def leave_traces(pool: Pool) -> None:
    """Leave what workers do not: dead letters, lists, an operator's filter, errors of a target."""
    await pool.execute(
        """INSERT INTO dead_letter (org_id, object, operation, capture_id, record_id, reason,
               error, original, callout_id, captured_at, received_at)
           VALUES
               ($1, 'Lead', 'update', 'c1', $2, 'rule_failed', 'of ada@example.com', $3, 'm', 1, 1),
                  ($1, 'Lead', 'update', 'c2', $4, 'rule_failed', 'no', $5, 'm', 1, 1)""",
        ORG_ID, LEAD, msgspec.json.encode(PERSON), BOB, b'{"Referrer":"ADA@example.com"}',
    )  # fmt: skip
    await pool.execute(
        """INSERT INTO dead_letter (object, reason, error, original, message_hash, routing_key)
           VALUES ('Lead', 'delivery_limit', 'x', $1, '\\x00', 'lead.insert')""",
        dead_message(),
    )
    await pool.execute("INSERT INTO suppression (value, reason) VALUES ($1, 'she asked')", ADA)
    await pool.execute(
        "INSERT INTO action (actor, action, parameters) VALUES ('op', 'dead_discard', $1)",
        f'{{"filter": {{"text": "{ADA}"}}}}',
    )


async def told(pool: Pool) -> None:
    """Deliver what is open, as a relay would."""
    await pool.execute(
        "UPDATE outbox SET state = 'delivered', settled_at = now(), attempts = 1"
        " WHERE state = 'open'"
    )
    await pool.execute("UPDATE enrollment SET state = 'active' WHERE state = 'pending'")


async def dump(pool: Pool) -> dict[str, list[str]]:
    """Return the rows of every table as text."""
    rows: dict[str, list[str]] = {}
    for (table,) in await pool.fetch(_TABLES):
        found = await pool.fetch(f"SELECT one::text FROM {table} AS one ORDER BY 1")  # noqa: S608
        rows[table] = [row[0] for row in found]
    # What is kept as bytes, as its text.
    for row in await pool.fetch("SELECT original FROM dead_letter"):
        rows.setdefault("originals", []).append(_plain(row[0]))
    return rows


def _plain(original: bytes) -> str:
    try:
        return "".join(item.text().decode() for item in envelope.decode(original))
    except Exception:  # noqa: BLE001  a single change's own text
        return original.decode()


def canaries_in(rows: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Return the rows that tell of Ada, each with its table."""
    return [
        (table, row)
        for table, own in rows.items()
        for row in own
        for canary in (*CANARIES, "former@example.com")
        if canary.lower() in row.lower().replace("nada@example.com", "")
    ]


async def begin(pool: Pool, **options: Any) -> BulkRun:
    """Begin to forget Ada."""
    person: Person = forget.named(ORG_ID, [ADA], [], **options)
    async with pool.acquire() as connection:
        return await forget.begin(connection, person, actor="dpo@desk")


async def drive(pool: Pool, run: BulkRun, steps: int | None = None) -> BulkRun:
    """Do a run's steps until it is over, or so many; the relay delivers meanwhile."""
    stop = asyncio.Event()
    done = 0

    def tell(_run: BulkRun, held_for: str | None) -> None:
        nonlocal done
        assert held_for is None, held_for
        done += 1
        if done == steps:
            stop.set()

    async def relay() -> None:
        while True:
            await told(pool)
            await asyncio.sleep(0.01)

    relaying = asyncio.create_task(relay())
    try:
        async with asyncio.timeout(60), forget.work() as work:
            return await bulk_runs.drive(pool, run.id, work, stop, driver="t", tell=tell)
    finally:
        relaying.cancel()
        await asyncio.wait({relaying})
