"""A database of the test's own, and what processes changes into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aio_pika
import pytest

from pipeline.database import open_pool
from pipeline.settings import Database, Secret
from tests.integration.workers.consuming import Broker
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Pool


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Database(url=Secret(database_url), pool_size=8), "test") as opened:
        yield opened


@pytest.fixture
def processor(pool: Pool) -> Processor:
    return Processor(pool, retention_days=90)


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    async with await aio_pika.connect(broker_url) as connection:
        opened = Broker(connection, broker_url)
        await opened.declare()
        yield opened
