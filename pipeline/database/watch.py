"""Looking whether the database does what a process needs of it, for the process's `/readyz`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline.certificates import told
from pipeline.database.hosts import DATABASE_ERRORS
from pipeline.database.schema import require_migrated
from pipeline.errors import TransientError
from pipeline.lifecycle import look_every

if TYPE_CHECKING:
    import asyncio

    from pipeline.database.pool import Pool

_LOOK_EVERY_S: Final = 2.0
# What is asked is answered within milliseconds, or somebody else has every connection.
_LATE_S: Final = 7.0


class DatabaseWatch:
    """Looks every 2 s whether the pool has a connection to a migrated database.

    So a process that has nothing to do finds out too that the server is gone, or that its password
    became wrong.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._problem: str | None = "the database was not asked yet"
        self._looked_at = time.monotonic()

    def problem(self) -> str | None:
        """Say why nothing can be done with the database, or None."""
        # A server that is frozen lets nobody finish, nor give up.
        late_s = time.monotonic() - self._looked_at
        return f"no answer for {late_s:.0f} s" if late_s > _LATE_S else self._problem

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop`."""
        await look_every(_LOOK_EVERY_S, self._look, stop)

    async def _look(self) -> None:
        try:
            async with self._pool.acquire() as connection:
                await require_migrated(connection)
            self._problem = None
        except (TransientError, *DATABASE_ERRORS) as error:
            self._problem = told(error, "DATABASE")
        self._looked_at = time.monotonic()
