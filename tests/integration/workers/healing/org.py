"""An org that is audited: what is stored of it, what it says, and what was made of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.audit import AuditRange
from pipeline.objects import SObject, long_id
from pipeline.requests import StartedBy, begin_audit
from tests.salesforce import ORG_ID, now_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Pool

HOUR_MS: Final = 3_600_000
# A whole second, long enough ago to be settled.
AT: Final = now_ms() // 1000 * 1000 - 24 * HOUR_MS

_STORE: Final = """
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    SELECT $1, unnest($2::text[]), $3, $4, 0, 'capture', $5, '{}'"""
_ACKNOWLEDGE: Final = "UPDATE request SET state = 'done', settled_at = now() WHERE request_id = $1"


def leads(count: int, first: int = 1) -> list[str]:
    """Return the ids of so many leads, in their order."""
    return [long_id(f"00Q5g{number:010}") for number in range(first, first + count)]


async def store(
    pool: Pool,
    record_ids: Iterable[str],
    *,
    at: int = AT,
    sobject: SObject = SObject.LEAD,
    deleted: bool = False,
) -> None:
    """Store records as they last changed at one time."""
    await pool.execute(_STORE, ORG_ID, list(record_ids), sobject, at, deleted)


async def begin(pool: Pool, *objects: SObject) -> tuple[int, list[int]]:
    """Begin an audit, of leads unless told otherwise; return its id and those of its requests."""
    async with pool.acquire() as connection:
        audit_id = await begin_audit(
            connection, ORG_ID, objects or [SObject.LEAD], StartedBy.COMMAND
        )
        rows = await connection.fetch(
            "SELECT request_id FROM request WHERE audit_id = $1 ORDER BY request_id", audit_id
        )
    return audit_id, [row["request_id"] for row in rows]


def told(  # noqa: PLR0913  what a callout says
    request_id: int,
    record_ids: Iterable[str],
    *,
    after: str | None = None,
    to: str | None = None,
    modstamp: int = AT,
    read_at: int = AT + 12 * HOUR_MS,
    sobject: SObject = SObject.LEAD,
) -> AuditRange:
    """Return what an org says of a range, all of whose records changed in one second."""
    return AuditRange(
        version=1,
        org_id=ORG_ID,
        audit_id=request_id,
        read_at=read_at,
        object=sobject,
        after_id=after,
        to_id=to,
        records=[(record_id, modstamp) for record_id in record_ids],
    )


async def findings(pool: Pool) -> dict[str, str]:
    """Return what was found, by record."""
    rows = await pool.fetch("SELECT record_id, kind FROM audit_finding ORDER BY record_id")
    return {row["record_id"]: row["kind"] for row in rows}


async def resends(pool: Pool) -> list[tuple[int, list[str]]]:
    """Return the resends that are open, oldest first: their ids and records."""
    rows = await pool.fetch(
        "SELECT request_id, record_ids FROM request WHERE kind = 'resend' AND state = 'open'"
        " ORDER BY request_id"
    )
    return [(row["request_id"], row["record_ids"]) for row in rows]


async def acknowledge(pool: Pool, request_id: int) -> None:
    """Have the org say that it has sent all that was asked for."""
    await pool.execute(_ACKNOWLEDGE, request_id)
