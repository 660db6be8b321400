"""Requests under way at shutdown, which are finished first.

aiohttp drops what arrives on its connections from the moment its own shutdown begins, so a request
whose body was still coming in would wait for the rest of it in vain.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class UnderWay:
    """Counts the requests under way; once draining, each answer closes its connection."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self._draining = False

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count one request while it is handled."""
        self._count += 1
        self._none.clear()
        try:
            response = await handler(request)
            if self._draining:
                response.force_close()
            return response
        finally:
            self._count -= 1
            if self._count == 0:
                self._none.set()

    async def drain(self, timeout_s: float) -> None:
        """Return when no request is under way, or after `timeout_s`."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._none.wait()
