"""Marks left before a suspect change is tried, so that a crash can be told from bad luck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pipeline.database import Connection
    from workers.received import ReceivedChange

_MARK: Final = """
    INSERT INTO delivery_try AS stored (org_id, capture_id, record_id) VALUES ($1, $2, $3)
    ON CONFLICT (org_id, capture_id, record_id) DO UPDATE
    SET tries = stored.tries + 1, tried_at = now()
    RETURNING tries"""
_TAKE_BACK: Final = """
    UPDATE delivery_try SET tries = tries - 1
    WHERE org_id = $1 AND capture_id = $2 AND record_id = $3"""
_CLEAR: Final = """
    DELETE FROM delivery_try WHERE org_id = $1 AND capture_id = $2 AND record_id = $3"""


async def mark(connection: Connection, change: ReceivedChange) -> int:
    """Count one more try of `change`, committed at once; return how many there were."""
    tried_count: int = await connection.fetchval(
        _MARK, change.org_id, change.capture_id, change.record_id
    )
    return tried_count


async def take_back(connection: Connection, change: ReceivedChange) -> None:
    """Uncount one's own try of a change that failed and was survived; others' marks stay."""
    await connection.execute(_TAKE_BACK, change.org_id, change.capture_id, change.record_id)


async def clear(connection: Connection, change: ReceivedChange) -> None:
    """Forget the tries of a change that was survived."""
    await connection.execute(_CLEAR, change.org_id, change.capture_id, change.record_id)
