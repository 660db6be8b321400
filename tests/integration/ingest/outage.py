"""A database that is away, as one whose server takes nobody in."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg

from tests.servers import database_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CUT_OFF: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


@contextlib.asynccontextmanager
async def database_away(url: str) -> AsyncIterator[None]:
    """Cut off whoever is connected, and take nobody in until the block ends."""
    name = url.partition("?")[0].rpartition("/")[2]
    operator = await asyncpg.connect(database_at(url, "postgres"))
    try:
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await operator.execute(_CUT_OFF, name)
        yield
        await operator.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    finally:
        await operator.close()
