"""Enrolments and outbox rows as workers leave them for the relay, without the workers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Pool

SEQUENCE: Final = "nurture"
_KEYS: Final = itertools.count()

_ORG: Final = "INSERT INTO org (org_id, sync_user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_ENROLL: Final = """
    INSERT INTO enrollment AS stored (org_id, sequence, recipient, state, generation, variables)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (org_id, sequence, recipient) DO UPDATE
    SET state = excluded.state, generation = excluded.generation
    RETURNING enrollment_id"""
_TELL: Final = """
    INSERT INTO outbox (enrollment_id, generation, kind, org_id, sequence, recipient, target, state,
                        rule, idempotency_key)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'rule', $9) RETURNING outbox_id"""
_CALL: Final = """
    INSERT INTO outbox (kind, org_id, recipient, target, payload, rule, idempotency_key)
    VALUES ('call', $1, $2, $3, $4, 'rule', $5) RETURNING outbox_id"""


async def add(  # noqa: PLR0913  whatever a row may be
    pool: Pool,
    *recipients: str,
    sequence: str = SEQUENCE,
    target: str = "webhook",
    state: str = "open",
    generation: int = 1,
    variables: str = '{"rating": "Hot"}',
    org_id: str = ORG_ID,
) -> list[int]:
    """Enrol recipients and leave word of it; return the enrolments' ids."""
    await pool.execute(_ORG, org_id, SYNC_USER_ID)
    stands = "held" if state == "held" else "pending"
    ids = []
    for recipient in recipients:
        key = (org_id, sequence, recipient)
        found = await pool.fetchval(_ENROLL, *key, stands, generation, variables)
        ids.append(found)
        await pool.fetchval(
            _TELL, found, generation, "add", *key, target, state, f"enr_{next(_KEYS)}"
        )
    return ids


async def leave(pool: Pool, *ids: int, target: str = "webhook") -> None:
    """End enrolments and leave word of it."""
    for enrollment_id in ids:
        row = await pool.fetchrow(
            "UPDATE enrollment SET state = 'exited', reason = 'exited: rule r',"
            " exited_generation = generation WHERE enrollment_id = $1"
            " RETURNING generation, org_id, sequence, recipient",
            enrollment_id,
        )
        assert row is not None
        generation, *key = row
        await pool.fetchval(
            _TELL, enrollment_id, generation, "exit", *key, target, "open", f"exit_{next(_KEYS)}"
        )


async def call(pool: Pool, url: str, record_id: str, **fields: Any) -> None:
    """Leave word that a rule's webhook is to be called for a record."""
    await pool.execute(_ORG, ORG_ID, SYNC_USER_ID)
    payload = msgspec.json.encode({"rule": "rule", "record_id": record_id, "fields": fields})
    await pool.fetchval(_CALL, ORG_ID, record_id, url, payload.decode(), f"call_{next(_KEYS)}")


async def treat(pool: Pool, sequence: str = SEQUENCE, **columns: Any) -> None:
    """Say how the relay is to treat a sequence; the columns are those of the table `sequence`."""
    await pool.execute(_ORG, ORG_ID, SYNC_USER_ID)
    await pool.execute("DELETE FROM sequence WHERE sequence = $1", sequence)
    names = ["org_id", "sequence", *columns]
    places = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    await pool.execute(
        f"INSERT INTO sequence ({', '.join(names)}) VALUES ({places})",  # noqa: S608  column names
        ORG_ID,
        sequence,
        *columns.values(),
    )


async def elapse(pool: Pool) -> None:
    """Let time pass for every lease and every pause."""
    await pool.execute("UPDATE outbox SET due_at = now() WHERE state = 'open'")


async def told(pool: Pool, columns: str = "recipient, state") -> list[tuple[Any, ...]]:
    """Return outbox rows, in the order in which they were left."""
    query = f"SELECT {columns} FROM outbox ORDER BY outbox_id"  # noqa: S608  column names
    return [tuple(row) for row in await pool.fetch(query)]


async def standing(pool: Pool, columns: str = "recipient, state, reason") -> list[tuple[Any, ...]]:
    """Return enrolments, in the order in which they were made."""
    query = f"SELECT {columns} FROM enrollment ORDER BY enrollment_id"  # noqa: S608  column names
    return [tuple(row) for row in await pool.fetch(query)]
