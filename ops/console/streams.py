"""Live parts of pages: a template, sent again and again as a server-sent event."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from ops import console_tokens
from ops.console.context import context_of, session_of
from pipeline.database import DATABASE_ERRORS
from pipeline.lifecycle import wait_or_stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    # Returns what a page shows now, and whether it is to change no more.
    Show = Callable[[], Awaitable[tuple[str, bool]]]

log = structlog.get_logger()

_MOST: Final = 100
_OVER: Final = "over"
_open: Final = asyncio.Semaphore(_MOST)


async def stream(request: web.Request, show: Show, every_s: float) -> web.StreamResponse:
    """Send what `show` returns whenever it differs, until it is over or nobody may see it any more.

    The event `over` tells the page to load itself anew.
    """
    if _open.locked():
        raise web.HTTPServiceUnavailable(text="Too many pages are being watched.")
    response = EventSourceResponse()
    # Whoever leaves does so without a word, at whatever moment.
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        async with _open, response:
            await _send(request, response, show, every_s)
    return response


async def _send(
    request: web.Request, response: EventSourceResponse, show: Show, every_s: float
) -> None:
    stop = context_of(request).stop
    sent = ""
    while response.is_connected():
        try:
            if not await _is_good(request):
                await response.send("", event=_OVER)
                return
            shown, is_over = await show()
        except DATABASE_ERRORS as error:
            # The browser comes back by itself, and says meanwhile that this is not live.
            log.warning("stream_ended", path=request.path, error=error)
            return
        if shown != sent:
            await response.send(shown)
            sent = shown
        if is_over:
            await response.send("", event=_OVER)
            return
        if await wait_or_stop(stop, every_s):
            return


async def _is_good(request: web.Request) -> bool:
    session = session_of(request)
    if session is None or session.token_id is None:
        return False
    async with context_of(request).pool.acquire() as connection:
        return await console_tokens.standing(connection, session.token_id) is not None
