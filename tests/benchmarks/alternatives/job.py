"""What every alternative does with a change: history, newest state and rule, in a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg
import orjson
from pydantic import BaseModel

from tests.benchmarks.alternatives import settings

if TYPE_CHECKING:
    from asyncpg import Pool, Record
    from asyncpg.pool import PoolConnectionProxy

SEQUENCE: Final = "nurture"
RULE: Final = "hot-leads-to-nurture"
_MIN_REVENUE: Final = 1_000_000

_INSERT: Final = """
    INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                        transaction_id, actor_id, callout_id, received_at, old, new)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT DO NOTHING RETURNING true"""
_UPSERT: Final = """
    INSERT INTO record AS stored (org_id, record_id, object, captured_at, sequence, capture_id,
                                  fields)
    VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
    ON CONFLICT (org_id, record_id) DO UPDATE
    SET captured_at = excluded.captured_at, sequence = excluded.sequence,
        capture_id = excluded.capture_id, fields = excluded.fields
    WHERE (stored.captured_at, stored.sequence, stored.capture_id)
          < (excluded.captured_at, excluded.sequence, excluded.capture_id)"""
_ENROLL: Final = """
    INSERT INTO enrollment (org_id, sequence, recipient, rule, capture_id, record_id)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING true"""
_SEND: Final = "INSERT INTO outbox (org_id, sequence, recipient) VALUES ($1, $2, $3)"


class Change(BaseModel):
    """One message: what happened to one record."""

    captured_at: int
    capture_id: str
    record_id: str
    org_id: str
    object: str
    operation: str
    sequence: int
    transaction_id: str
    actor_id: str | None
    callout_id: str
    received_at: int
    old: dict[str, Any] | None
    new: dict[str, Any] | None


async def open_pool() -> Pool[Record]:
    """Return as many connections as keep the messages at hand busy."""
    size = settings.POOL_SIZE
    return await asyncpg.create_pool(settings.DATABASE_URL, min_size=size, max_size=size)


async def store(pool: Pool[Record], change: Change) -> None:
    """Store one change, once however often it comes, and enrol whom the rule chooses."""
    old, new = (orjson.dumps(side).decode() for side in (change.old, change.new))
    async with pool.acquire() as connection, connection.transaction():
        is_new = await connection.fetchval(
            _INSERT,
            change.captured_at,
            change.capture_id,
            change.record_id,
            change.org_id,
            change.object,
            change.operation,
            change.sequence,
            change.transaction_id,
            change.actor_id,
            change.callout_id,
            change.received_at,
            None if old == "null" else old,
            None if new == "null" else new,
        )
        if not is_new:
            return
        await connection.execute(
            _UPSERT,
            change.org_id,
            change.record_id,
            change.object,
            change.captured_at,
            change.sequence,
            change.capture_id,
            old if new == "null" else new,
        )
        before, after = change.old or {}, change.new or {}
        if matches(before, after):
            await _enroll(connection, change, after["Email"])


def matches(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Tell whether a lead became Qualified and is hot or large."""
    return (
        after.get("Status") == "Qualified"
        and before.get("Status") != "Qualified"
        and (after.get("Rating") == "Hot" or (after.get("AnnualRevenue") or 0) >= _MIN_REVENUE)
        and bool(after.get("Email"))
    )


async def _enroll(connection: PoolConnectionProxy[Record], change: Change, recipient: str) -> None:
    if await connection.fetchval(
        _ENROLL, change.org_id, SEQUENCE, recipient, RULE, change.capture_id, change.record_id
    ):
        await connection.execute(_SEND, change.org_id, SEQUENCE, recipient)
