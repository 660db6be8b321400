"""A pool of connections to PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from pipeline import metrics
from pipeline.database.hosts import Hosts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.connection import LoggedQuery
    from asyncpg.pool import PoolConnectionProxy

    from pipeline.database.hosts import Opened
    from pipeline.settings import Database

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

# No statement of a process that serves takes seconds: one that takes so long has lost its way.
COMMAND_TIMEOUT_S: Final = 30.0
# A client whose connection the network has forgotten never says so, and the server would keep its
# transaction, with the rows that it locked, until TCP gives up: two hours by default.
ABANDONED_AFTER_MS: Final = 30_000
CLOSE_TIMEOUT_S: Final = 3.0


@contextlib.asynccontextmanager
async def open_pool(settings: Database, name: str) -> AsyncIterator[Pool]:
    """Yield a pool that connects when first used, so that a process starts without a database.

    Closing it takes at most 3 s; what is not closed by then is broken off.
    """
    hosts = Hosts(settings.url)

    async def connect(*_: object, **options: Any) -> Opened:
        connection = await hosts.connect(**options)
        connection.add_query_logger(partial(_break_off_late, connection))
        return connection

    pool = asyncpg.create_pool(
        connect=connect,
        min_size=0,
        max_size=settings.pool_size,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={
            "application_name": name,
            "idle_in_transaction_session_timeout": f"{ABANDONED_AFTER_MS}",
        },
    )
    await pool
    _tell(pool)
    try:
        yield pool
    finally:
        # Closing waits for queries, and for their cancellation: for ever when the server is frozen.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await pool.close()


def _tell(pool: Pool) -> None:
    """Tell Prometheus, whenever it asks, how far the pool is used."""
    states = {
        "busy": lambda: pool.get_size() - pool.get_idle_size(),
        "idle": pool.get_idle_size,
        "unopened": lambda: pool.get_max_size() - pool.get_size(),
    }
    for state, count in states.items():
        metrics.pool_connections.labels(state).set_function(count)


def _break_off_late(connection: Opened, query: LoggedQuery) -> None:
    """Break a connection off on which a statement timed out: its rollback would wait as long."""
    if isinstance(query.exception, TimeoutError):
        connection.terminate()
