"""One connection, as a command has it, and a pool, as the console has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from pipeline.database import open_pool
from pipeline.settings import Database, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection, Pool


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url)), "test") as opened:
        yield opened
