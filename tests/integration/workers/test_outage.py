"""A database that goes away is waited for: nothing is settled, lost or dead-lettered for it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from pipeline.settings import Worker
from tests.changes import inserted, lead, message
from tests.integration.workers.consuming import Broker, consuming
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ops.stack import PrivatePostgres
    from pipeline.database import Pool
    from workers.processor import Processor

EVERYTHING = """
    SELECT (SELECT count(*) FROM record), (SELECT count(*) FROM dead_letter),
           (SELECT count(*) FROM delivery_try)"""


@pytest.fixture
def away(
    postgres_server: PrivatePostgres, database_url: str
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Throw everyone out of the database, and let nobody in within the block."""
    name = urlsplit(database_url).path.lstrip("/")

    @asynccontextmanager
    async def closed() -> AsyncIterator[None]:
        connection = await asyncpg.connect(postgres_server.url)
        try:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            yield
        finally:
            await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await connection.close()

    return closed


@pytest.mark.parametrize("hold_s", [300.0, 0.3])
async def test_an_outage_is_waited_for_with_the_delivery_in_hand_or_in_the_queue(
    broker: Broker,
    pool: Pool,
    processor: Processor,
    away: Callable[[], AbstractAsyncContextManager[None]],
    hold_s: float,
) -> None:
    async with consuming(broker, pool, processor, Worker(hold_s=hold_s)) as running:
        consumer = running.consumer
        async with away():
            await broker.publish(message(inserted(lead())))
            await until(lambda: "holding" in (consumer.database_problem() or ""))
            # In hand it stays with its consumer; past `hold_s` it waits where others find it.
            await broker.until_waiting(*((0, 1) if hold_s > 1 else (1, 0)))
        await until(lambda: consumer.database_problem() is None)
        await broker.until_waiting(0, 1)
    row = await pool.fetchrow(EVERYTHING)
    assert row is not None
    assert tuple(row) == (1, 0, 0)


async def test_a_worker_that_is_stopped_in_an_outage_gives_its_delivery_back(
    broker: Broker,
    pool: Pool,
    processor: Processor,
    away: Callable[[], AbstractAsyncContextManager[None]],
) -> None:
    async with consuming(broker, pool, processor, Worker()) as running, away():
        await broker.publish(message(inserted(lead())))
        await until(lambda: "holding" in (running.consumer.database_problem() or ""))
        await running.stopped()
        await broker.until_waiting(1, 0)
