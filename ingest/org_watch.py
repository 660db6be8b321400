"""How many orgs are in trouble, told to Prometheus; `penstock org list` says which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from pipeline import metrics
from pipeline.database import DATABASE_ERRORS
from pipeline.lifecycle import look_every

if TYPE_CHECKING:
    import asyncio

    from pipeline.database import Pool

log = structlog.get_logger()

# Heartbeats come every hour, and a job may wait in a busy org.
OVERDUE_S: Final = 2 * 3600
# Signatures are good for 300 s: half of that is a warning in time.
MAX_SKEW_MS: Final = 150_000
_LOOK_EVERY_S: Final = 30.0
_COUNT: Final = """
    SELECT count(*) FILTER (
               WHERE coalesce(heard_at, connected_at) < now() - make_interval(secs => $1)
           ) AS silent,
           count(*) FILTER (WHERE abs(clock_skew_ms) > $2) AS clock_off,
           count(*) FILTER (WHERE overflow_count > 0) AS cannot_send
    FROM org LEFT JOIN heartbeat USING (org_id)
    WHERE connected_at IS NOT NULL AND NOT paused"""


class OrgWatch:
    """Looks every 30 s, whoever of several ingests it is: one pass over the orgs."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        await look_every(_LOOK_EVERY_S, self.look, stop)

    async def look(self) -> None:
        """Count once. Without a database the figures stay, and it is logged."""
        try:
            (row,) = await self._pool.fetch(_COUNT, OVERDUE_S, MAX_SKEW_MS)
        except DATABASE_ERRORS as error:
            log.warning("orgs_unknown", error=error)
            return
        for trouble, count in row.items():
            metrics.orgs_in_trouble.labels(trouble).set(count)
