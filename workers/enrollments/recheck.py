"""Ends of records that some transaction may have missed: looked at again until none can have.

Changes of one record wait for each other, so an end and an add of the same record never miss each
other. The end of a successor and an add of a record before it can: neither sees what the other has
not committed. So each end is taken up again, after its commit, until every transaction is over that
began before its first sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from workers.enrollments.ceilings import hold_beyond_ceilings
from workers.enrollments.ends import find_enrolled
from workers.enrollments.events import NewEvents
from workers.enrollments.fire import bring_up_to_date

if TYPE_CHECKING:
    from pipeline.database import Connection

# Claim ends, those longest unseen first; whether one is settled by this sweep is decided by a
# snapshot from before the folds read. The horizon is an id drawn after the end's commit was seen:
# whoever could have missed it has a lower one.
_CLAIM: Final = """
    WITH due AS (
        SELECT org_id, record_id, captured_at, sequence, capture_id FROM record_end
        WHERE NOT settled AND (swept_at IS NULL OR swept_at < now() - interval '0.5 seconds')
        ORDER BY swept_at NULLS FIRST
        LIMIT $1
        FOR UPDATE SKIP LOCKED)
    UPDATE record_end AS stored
    SET swept_at = now(),
        horizon = coalesce(horizon, pg_current_xact_id()),
        settled = coalesce(horizon <= pg_snapshot_xmin(pg_current_snapshot()), false)
    FROM due
    WHERE (stored.org_id, stored.record_id, stored.captured_at, stored.sequence, stored.capture_id)
        = (due.org_id, due.record_id, due.captured_at, due.sequence, due.capture_id)
    RETURNING stored.org_id, stored.record_id"""


async def recheck_ends(connection: Connection, limit: int) -> int:
    """Fold the enrolments again that up to `limit` ends concern; return how many ends there were.

    To be called each second, and again at once while it returns `limit`; an end comes up at most
    twice a second. Several workers share the work.
    """
    async with connection.transaction():
        rows = await connection.fetch(_CLAIM, limit)
        concerned = await find_enrolled(connection, {tuple(row) for row in rows})
        enrolled = await bring_up_to_date(connection, NewEvents({}, concerned))
        await hold_beyond_ceilings(connection, enrolled)
    return len(rows)
