"""An edge that queues taskiq's tasks: `python -m tests.benchmarks.alternatives.taskiq_edge`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.benchmarks.alternatives.edge import serve
from tests.benchmarks.alternatives.taskiq_broker import broker, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.alternatives.edge import Publish


@asynccontextmanager
async def open_publisher() -> AsyncIterator[Publish]:
    """Yield what queues a task; taskiq's messages are persistent and confirmed."""
    await broker.startup()
    try:
        yield store.kiq
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    serve(open_publisher)
