from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ingest.draining import UnderWay

DEADLINE_S = 10


class Request:
    """One request under way, which ends when told."""

    def __init__(self, under_way: UnderWay) -> None:
        self._end = asyncio.Event()
        self._answer = asyncio.create_task(
            under_way.watch(make_mocked_request("GET", "/"), self._handle)
        )

    async def _handle(self, _: web.Request) -> web.StreamResponse:
        await self._end.wait()
        return web.Response()

    async def end(self) -> web.StreamResponse:
        self._end.set()
        return await self._answer

    async def break_off(self) -> None:
        self._answer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._answer


async def test_draining_waits_for_the_last_request_however_it_ends() -> None:
    under_way = UnderWay()
    first, second, third = (Request(under_way) for _ in range(3))
    await asyncio.sleep(0)
    await first.end()
    draining = asyncio.create_task(under_way.drain(DEADLINE_S))
    await second.break_off()
    assert not draining.done()
    response = await third.end()
    async with asyncio.timeout(DEADLINE_S):
        await draining
    # The connection of an answer that was given while draining is not kept.
    assert response.keep_alive is False


async def test_draining_with_nothing_under_way_is_over_at_once() -> None:
    under_way = UnderWay()
    request = Request(under_way)
    await asyncio.sleep(0)
    assert (await request.end()).keep_alive is None
    async with asyncio.timeout(DEADLINE_S):
        await under_way.drain(DEADLINE_S)


async def test_a_request_that_does_not_end_is_given_up() -> None:
    under_way = UnderWay()
    request = Request(under_way)
    await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE_S):
        await under_way.drain(0.001)
    await request.end()
