"""How much the outbox holds and since when, told to Prometheus."""

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

_LOOK_EVERY_S: Final = 15.0
# A million rows are not counted to say that there are too many.
_MAX_ROWS: Final = 10_000
_READ: Final = """
    SELECT count(*) AS open_count,
           coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS age_s
    FROM (SELECT created_at FROM outbox
          WHERE state = 'open' AND delayed_for IS NULL LIMIT $1) AS one"""


class Backlog:
    """Looks every 15 s, whoever of several relays it is."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        await look_every(_LOOK_EVERY_S, self._look, stop)

    async def _look(self) -> None:
        try:
            (row,) = await self._pool.fetch(_READ, _MAX_ROWS)
        except DATABASE_ERRORS as error:
            log.warning("backlog_unknown", error=error)
            return
        metrics.outbox_open.set(row["open_count"])
        metrics.outbox_age_seconds.set(row["age_s"])
