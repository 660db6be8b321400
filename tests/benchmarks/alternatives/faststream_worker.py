"""A FastStream worker: `python -m tests.benchmarks.alternatives.faststream_worker`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvloop
from faststream import AckPolicy, FastStream

from tests.benchmarks.alternatives import settings
from tests.benchmarks.alternatives.faststream_broker import BROKER, QUEUE
from tests.benchmarks.alternatives.job import Change, open_pool, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg import Pool, Record

_pool: Pool[Record]


@BROKER.subscriber(QUEUE, ack_policy=AckPolicy.NACK_ON_ERROR)
async def handle(change: Change) -> None:
    """Store one change; it is acknowledged afterwards."""
    await store(_pool, change)


@asynccontextmanager
async def _connected() -> AsyncIterator[None]:
    global _pool
    async with await open_pool() as _pool:
        yield


app = FastStream(BROKER, lifespan=_connected)


@app.after_startup
async def tell() -> None:
    """Say that messages are consumed."""
    settings.tell_ready()


if __name__ == "__main__":
    uvloop.run(app.run())
