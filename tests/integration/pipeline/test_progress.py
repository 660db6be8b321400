"""What a worker tells reaches every ingest, however late that one begins to listen."""

from __future__ import annotations

import asyncio

from pipeline.objects import SObject
from pipeline.progress import Mark, Report, hear, tell
from pipeline.settings import Secret

REPORT = Report("worker", {SObject.LEAD: 3}, [Mark("ingest", SObject.LEAD, 20, 10)])
DEADLINE_S = 20


async def test_a_worker_that_stands_still_goes_on_telling_where_it_is(broker_url: str) -> None:
    url, stop = Secret(broker_url), asyncio.Event()
    telling = asyncio.create_task(tell(url, "test worker", lambda: REPORT, stop))
    listening: list[asyncio.Task[None]] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            for source in ("first", "second"):
                heard: asyncio.Queue[Report] = asyncio.Queue()
                listening.append(asyncio.create_task(hear(url, source, heard.put_nowait, stop)))
                assert await heard.get() == REPORT
                assert await heard.get() == REPORT
    finally:
        stop.set()
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(telling, *listening)
