"""An edge that publishes with FastStream: `python -m …alternatives.faststream_edge`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.benchmarks.alternatives.edge import serve
from tests.benchmarks.alternatives.faststream_broker import BROKER, QUEUE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.benchmarks.alternatives.edge import Publish


@asynccontextmanager
async def open_publisher() -> AsyncIterator[Publish]:
    """Yield what publishes persistent messages with confirms."""
    async with BROKER:
        await BROKER.declare_queue(QUEUE)
        yield partial(BROKER.publish, queue=QUEUE, persist=True)


if __name__ == "__main__":
    serve(open_publisher)
