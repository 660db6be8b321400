"""A webhook target for the local stack: takes what the relay delivers and keeps it in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final, Self

from aiohttp import web

from pipeline.signing import InvalidSignature, key_of, new_secret, verify

# What arrived longest ago makes room.
_MAX_KEPT: Final = 10_000


class SampleTarget:
    """Listens on loopback; honours the idempotency key, as a target should."""

    def __init__(self, port: int) -> None:
        self.secret = new_secret()
        self.url = f"http://127.0.0.1:{port}/enrollments"
        self.delivered: OrderedDict[str, bytes] = OrderedDict()
        self._port = port
        app = web.Application()
        app.router.add_post("/enrollments", self._take)
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            verify(
                keys=(key_of(self.secret),),
                message_id=request.headers.get("webhook-id"),
                timestamp=request.headers.get("webhook-timestamp"),
                signatures=request.headers.get("webhook-signature"),
                body=body,
                now_s=time.time(),
            )
        except InvalidSignature as error:
            raise web.HTTPUnauthorized(text=str(error)) from error
        self.delivered[request.headers["Idempotency-Key"]] = body
        if len(self.delivered) > _MAX_KEPT:
            self.delivered.popitem(last=False)
        return web.Response(status=204)
