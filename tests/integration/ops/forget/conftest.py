"""A database with Ada and Bob in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests import forgotten
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url), pool_size=8), "test") as opened:
        await forgotten.people(opened)
        yield opened


@pytest.fixture
def processor(pool: Pool) -> Processor:
    return Processor(pool, retention_days=90)
