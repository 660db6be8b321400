"""A pool of connections to PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

    from pipeline.settings import Database

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 60.0
CLOSE_TIMEOUT_S: Final = 3.0

# All that a statement raises, for whoever makes no difference between an outage and a refusal. A
# connection that the server is just closing answers with the driver's internal error.
DATABASE_ERRORS: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


@contextlib.asynccontextmanager
async def open_pool(settings: Database, name: str) -> AsyncIterator[Pool]:
    """Yield a pool that connects when first used, so that a process starts without a database.

    Closing it takes at most 3 s; what is not closed by then is broken off.
    """
    pool = asyncpg.create_pool(
        settings.url.value,
        min_size=0,
        max_size=settings.pool_size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"application_name": name},
    )
    await pool
    try:
        yield pool
    finally:
        # Closing waits for queries, and for their cancellation: for ever when the server is frozen.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await pool.close()
