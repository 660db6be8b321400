"""Changes that carry in their records what rules make of them, and a transaction around `fire`.

So a test says of each change who enrols whom, without any rule; all but the evaluation is real.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.objects import Operation, SObject, long_id
from rules import Call, Effect, Enroll, Exit, Match, ReEnroll
from tests.salesforce import ORG_ID, now_ms
from workers.enrollments import Fired, fire, recheck_ends
from workers.history import insert_history, upsert_records
from workers.received import ReceivedChange
from workers.record_ends import keep_ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection, Pool

ANA: Final = "ana@example.com"
BO: Final = "bo@example.com"
LEADS: Final = tuple(long_id(f"00Q5g00000000{letter}0") for letter in "xyz")
CONTACT: Final = long_id("0035g000000000c")
START: Final = now_ms() - 60_000
_NUMBERS: Final = itertools.count()

Act = dict[str, Any]


def add(rule: str = "r", recipient: str = ANA, **more: object) -> Act:
    return {"rule": rule, "kind": "add", "recipient": recipient, "ceiling": 1000, **more}


def remove(rule: str = "won", recipient: str = ANA, **more: object) -> Act:
    return {"rule": rule, "kind": "exit", "recipient": recipient, **more}


def call(rule: str = "r", url: str = "https://example.com/hook", **more: object) -> Act:
    return {"rule": rule, "kind": "call", "url": url, **more}


def change(  # noqa: PLR0913  all that makes a change
    at: int,
    *acts: Act,
    record_id: str = LEADS[0],
    operation: Operation = Operation.UPDATE,
    object_: SObject = SObject.LEAD,
    sequence: int = 0,
    capture_id: str | None = None,
    transaction_id: str | None = None,
    org_id: str = ORG_ID,
    **fields: object,
) -> ReceivedChange:
    """Return a change captured `at` ms after the start, of which rules make `acts`."""
    has_old = operation in {Operation.UPDATE, Operation.DELETE}
    state = msgspec.json.encode({"Id": record_id, **fields, "Acts": acts})
    return ReceivedChange(
        captured_at=START + at,
        capture_id=capture_id or f"capture-{next(_NUMBERS)}",
        record_id=record_id,
        org_id=org_id,
        object=object_,
        operation=operation,
        sequence=sequence,
        transaction_id=transaction_id or f"tx-{next(_NUMBERS)}",
        actor_id=None,
        callout_id="msg",
        received_at=START + at,
        masked=False,
        old=(state if operation is Operation.DELETE else b"{}") if has_old else None,
        new=None if operation is Operation.DELETE else state,
    )


def deleted(at: int, *acts: Act, **more: Any) -> ReceivedChange:
    return change(at, *acts, operation=Operation.DELETE, **more)


def merged(at: int, into: str, **more: Any) -> ReceivedChange:
    return deleted(at, MasterRecordId=into, **more)


def converted(at: int, *acts: Act, into: str = CONTACT, **more: Any) -> ReceivedChange:
    return change(at, *acts, IsConverted=True, ConvertedContactId=into, **more)


def matches(of: ReceivedChange) -> list[Match]:
    by_rule: defaultdict[str, list[Act]] = defaultdict(list)
    for act in msgspec.json.decode(of.state).get("Acts", ()):
        by_rule[act["rule"]].append(act)
    return [
        Match(
            rule=rule,
            version=1,
            evidence=(),
            actions=tuple(map(_effect, acts)),
            ceiling=acts[0].get("ceiling", 1000),
        )
        for rule, acts in by_rule.items()
    ]


def _effect(act: Act) -> Effect:
    sequence = act.get("sequence", "nurture")
    match act["kind"]:
        case "add":
            re_enroll = ReEnroll(act.get("re_enroll", "never"))
            return Enroll(sequence, act["recipient"], act.get("variables", {}), re_enroll)
        case "exit":
            return Exit(sequence, act["recipient"])
        case _:
            return Call(act["url"], act.get("fields", {}))


async def persist(connection: Connection, *batch: ReceivedChange) -> None:
    """Do within a transaction what a worker does with a batch."""
    by_key = {one.key: one for one in batch}
    new, _ = await insert_history(connection, [by_key[key] for key in sorted(by_key)])
    await upsert_records(connection, new)
    ended = await keep_ends(connection, new)
    await fire(connection, [Fired(one, match) for one in new for match in matches(one)], ended)


async def process(pool: Pool, *batch: ReceivedChange) -> None:
    """Commit a batch in a transaction of its own."""
    async with pool.acquire() as connection, connection.transaction():
        await persist(connection, *batch)


async def process_each(pool: Pool, changes: Iterable[ReceivedChange]) -> None:
    for one in changes:
        await process(pool, one)


async def sweep(pool: Pool) -> int:
    """Look at all ends that are not settled, as if long enough had passed since the last time."""
    await pool.execute("UPDATE record_end SET swept_at = NULL WHERE NOT settled")
    async with pool.acquire() as connection:
        return await recheck_ends(connection, 1000)


async def rows(pool: Pool, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(query, *arguments)]


STANDINGS: Final = """
    SELECT recipient, state, generation, reason FROM enrollment ORDER BY sequence, recipient"""


async def standings(pool: Pool) -> list[tuple[Any, ...]]:
    """Return (recipient, state, generation, reason) of each enrolment."""
    return await rows(pool, STANDINGS)


async def deliver(pool: Pool, *kinds: str) -> list[tuple[str, int]]:
    """Do with all open rows of some kinds (or all) what the relay does; return what was told.

    What need not be told is superseded.
    """
    told = []
    for row in await pool.fetch(
        """
        SELECT outbox_id, enrollment_id, kind, outbox.generation,
               CASE kind WHEN 'add' THEN outbox.generation > exited_generation
                    ELSE outbox.generation <= exited_generation AND EXISTS (
                        SELECT FROM outbox AS added
                        WHERE (added.enrollment_id, added.generation, added.kind, added.state)
                            = (enrollment_id, outbox.generation, 'add', 'delivered')) END
                   AND outbox.generation <= enrollment.generation AS is_due
        FROM outbox JOIN enrollment USING (enrollment_id)
        WHERE outbox.state = 'open' ORDER BY outbox_id"""
    ):
        if kinds and row["kind"] not in kinds:
            continue
        await pool.execute(
            "UPDATE outbox SET state = $2, attempts = attempts + 1, settled_at = clock_timestamp()"
            " WHERE outbox_id = $1",
            row["outbox_id"],
            "delivered" if row["is_due"] else "superseded",
        )
        if row["is_due"]:
            told.append((row["kind"], row["generation"]))
        if row["is_due"] and row["kind"] == "add":
            await pool.execute(
                "UPDATE enrollment SET state = 'active' WHERE enrollment_id = $1"
                " AND generation = $2 AND state = 'pending'",
                row["enrollment_id"],
                row["generation"],
            )
    return told
