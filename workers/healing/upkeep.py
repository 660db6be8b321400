"""What loads, audits, gaps, dead letters and the flow leave, cleared away in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.tally import KEPT_HOURS

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

_ROWS_PER_PAGE: Final = 1000

# A change that could still fall into a confirmed gap's span would be older than the history.
_CLEAR_GAPS: Final = """
    DELETE FROM gap WHERE gap_id IN (
        SELECT gap_id FROM gap WHERE settled_at < now() - make_interval(days => $1)
        ORDER BY settled_at LIMIT $2)"""
# What is open waits for somebody.
_CLEAR_DEAD: Final = """
    DELETE FROM dead_letter WHERE dead_letter_id IN (
        SELECT dead_letter_id FROM dead_letter
        WHERE state <> 'open' AND settled_at < now() - make_interval(days => $1)
        ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
# With the change that it is of.
_CLEAR_REDELIVERIES: Final = """
    DELETE FROM redelivery WHERE (captured_at, capture_id, record_id, org_id) IN (
        SELECT captured_at, capture_id, record_id, org_id FROM redelivery
        WHERE captured_at < extract(epoch FROM now() - make_interval(days => $1)) * 1000
        ORDER BY captured_at LIMIT $2)"""
# The newest of each object tells how many records to expect.
_CLEAR_LOADS: Final = """
    DELETE FROM request WHERE request_id IN (
        SELECT request_id FROM request
        WHERE kind = 'load' AND state <> 'open' AND settled_at < now() - make_interval(days => $1)
          AND EXISTS (SELECT FROM request AS newer
                      WHERE newer.kind = 'load' AND newer.org_id = request.org_id
                        AND newer.object = request.object
                        AND newer.request_id > request.request_id)
        LIMIT $2)"""
# So does the newest of each org.
_FIND_AUDITS: Final = """
    SELECT audit_id FROM audit
    WHERE state = 'done' AND settled_at < now() - make_interval(days => $1)
      AND EXISTS (SELECT FROM audit AS newer
                  WHERE newer.org_id = audit.org_id AND newer.audit_id > audit.audit_id)
    ORDER BY settled_at LIMIT $2"""
_CLEAR_FINDINGS: Final = """
    DELETE FROM audit_finding WHERE (audit_id, record_id) IN (
        SELECT audit_id, record_id FROM audit_finding WHERE audit_id = $1 LIMIT $2)"""
_CLEAR_RANGES: Final = """
    DELETE FROM audit_range WHERE (audit_id, object, after_id, to_id) IN (
        SELECT audit_id, object, after_id, to_id FROM audit_range WHERE audit_id = $1 LIMIT $2)"""
_CLEAR_REQUESTS: Final = """
    DELETE FROM request WHERE request_id IN (
        SELECT request_id FROM request WHERE audit_id = $1 LIMIT $2)"""
_CLEAR_OBJECTS: Final = "DELETE FROM audit_object WHERE audit_id = $1"
_CLEAR_AUDIT: Final = "DELETE FROM audit WHERE audit_id = $1"
# A process that tells again after so long has its row anew.
_CLEAR_FLOW: Final = (
    "DELETE FROM tally WHERE minute < now() - make_interval(hours => $1)",
    "DELETE FROM process WHERE told_at < now() - make_interval(hours => $1)",
)


async def clear(pool: Pool, *, retention_days: int) -> None:
    """Delete what was settled longer ago than the history reaches, a page at a time.

    Kept are open dead letters, each org's newest audit and each object's newest load.
    """
    async with pool.acquire() as connection:
        for statement in (_CLEAR_GAPS, _CLEAR_LOADS, _CLEAR_DEAD, _CLEAR_REDELIVERIES):
            await _in_pages(connection, statement, retention_days)
        for row in await connection.fetch(_FIND_AUDITS, retention_days, _ROWS_PER_PAGE):
            for statement in (_CLEAR_FINDINGS, _CLEAR_RANGES, _CLEAR_REQUESTS):
                await _in_pages(connection, statement, row["audit_id"])
            async with connection.transaction():
                await connection.execute(_CLEAR_OBJECTS, row["audit_id"])
                await connection.execute(_CLEAR_AUDIT, row["audit_id"])
        for statement in _CLEAR_FLOW:
            await connection.execute(statement, KEPT_HOURS)


async def _in_pages(connection: Connection, statement: str, argument: int) -> None:
    """Delete until there is nothing left, in transactions that hold few locks for a short time."""
    while await connection.execute(statement, argument, _ROWS_PER_PAGE) != "DELETE 0":
        pass
