"""The flow as every viewer sees it: read once for all of them, and only while somebody looks."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ops.flow import read_flow, read_queues

if TYPE_CHECKING:
    from ops.flow import Flow
    from pipeline.database import Pool
    from pipeline.settings import Secret

# As often as pages look; a second one within it sees the same.
EVERY_S: Final = 2.0


class Watching:
    """Reads the flow at most every two seconds."""

    def __init__(self, pool: Pool, broker_url: Secret) -> None:
        self._pool = pool
        self._broker_url = broker_url
        self._lock = asyncio.Lock()
        self._flow: Flow | None = None
        self._read_at = 0.0

    async def flow(self) -> Flow:
        """Return the flow as it is, or was less than two seconds ago."""
        async with self._lock:
            if self._flow is None or time.monotonic() - self._read_at >= EVERY_S:
                queues = await read_queues(self._broker_url)
                async with self._pool.acquire() as connection:
                    self._flow = await read_flow(connection, queues)
                self._read_at = time.monotonic()
            return self._flow
