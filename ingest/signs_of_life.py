"""When each org was last heard of: every request that it signed counts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.database import DATABASE_ERRORS
from pipeline.lifecycle import wait_or_stop

if TYPE_CHECKING:
    import asyncio

    from pipeline.database import Pool

log = structlog.get_logger()

_WRITE_EVERY_S: Final = 10.0
# Rows are locked in the order of their key, as every process of ingest writes them.
_WRITE: Final = """
    INSERT INTO heartbeat AS stored (org_id, heard_at)
    SELECT told.org_id, to_timestamp(told.heard_at)
    FROM unnest($1::text[], $2::float8[]) AS told (org_id, heard_at) JOIN org USING (org_id)
    ORDER BY told.org_id
    ON CONFLICT (org_id) DO UPDATE SET heard_at = greatest(stored.heard_at, excluded.heard_at)"""


class SignsOfLife:
    """Notes them in memory and writes them every 10 s, one an org: a callout costs nothing."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._heard: dict[str, float] = {}

    def note(self, org_id: str) -> None:
        """Note that an org was heard now."""
        self._heard[org_id] = time.time()

    async def run(self, stop: asyncio.Event) -> None:
        """Write what was noted until `stop`, and once more."""
        while not await wait_or_stop(stop, _WRITE_EVERY_S):
            await self._write()
        await self._write()

    async def _write(self) -> None:
        heard, self._heard = self._heard, {}
        if not heard:
            return
        try:
            await self._pool.execute(_WRITE, list(heard), list(heard.values()))
        except DATABASE_ERRORS as error:
            # What is noted meanwhile is the newer.
            self._heard = heard | self._heard
            log.warning("signs_of_life_held", error=error)
