"""Rows cleared away as their tables' rules say, a page at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pipeline import metrics
from workers.upkeep.rules import MARGIN_DAYS, RULES, Cleared

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

_ROWS_PER_PAGE: Final = 1000

_FIND_AUDITS: Final = """
    SELECT audit_id FROM audit
    WHERE state = 'done' AND settled_at < now() - $1::interval
      AND EXISTS (SELECT FROM audit AS newer
                  WHERE newer.org_id = audit.org_id AND newer.audit_id > audit.audit_id)
    ORDER BY settled_at LIMIT $2"""
# What is of an audit, before the audit itself.
_OF_AUDIT: Final = {
    table: f"""
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM {table} WHERE audit_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))"""  # noqa: S608  all from here
    for table in ("audit_finding", "audit_range", "request")
}
_CLEAR_OBJECTS: Final = "DELETE FROM audit_object WHERE audit_id = $1"
_CLEAR_AUDIT: Final = "DELETE FROM audit WHERE audit_id = $1"


async def clear(pool: Pool, *, retention_days: int) -> None:
    """Delete what the rules say is over, in transactions that hold few locks for a short time."""
    history = timedelta(days=retention_days + MARGIN_DAYS)
    async with pool.acquire() as connection:
        for table, rule in RULES.items():
            if isinstance(rule, Cleared):
                age = history if rule.hours is None else timedelta(hours=rule.hours)
                await _in_pages(connection, table, rule.statement(table), age)
        for row in await connection.fetch(_FIND_AUDITS, history, _ROWS_PER_PAGE):
            for table, statement in _OF_AUDIT.items():
                await _in_pages(connection, table, statement, row["audit_id"])
            async with connection.transaction():
                await connection.execute(_CLEAR_OBJECTS, row["audit_id"])
                await connection.execute(_CLEAR_AUDIT, row["audit_id"])


async def _in_pages(
    connection: Connection, table: str, statement: str, argument: timedelta | int
) -> None:
    """Delete until a page is not full."""
    count = _ROWS_PER_PAGE
    while count == _ROWS_PER_PAGE:
        told = await connection.execute(statement, argument, _ROWS_PER_PAGE)
        count = int(told.removeprefix("DELETE "))
        metrics.rows_cleared.labels(table).inc(count)
