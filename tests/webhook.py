"""Webhook targets that keep what they are sent, and answer as they were told to."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook


class Webhooks:
    """Answers each recipient (or a call's record) as told, 204 otherwise, wherever it is posted."""

    def __init__(self, secret: str) -> None:
        self.url = ""
        self.secret = secret
        self.answers: dict[str, web.Response] = {}
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.arrived = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        # Paths that never answer.
        self.hanging: set[str] = set()
        self.app = web.Application()
        self.app.router.add_post("/{path:.*}", self._take)

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        told = Webhook(self.secret).verify(body.decode(), dict(request.headers))
        self.requests.append((request.path, dict(request.headers), told))
        self.arrived.set()
        await self.go_on.wait()
        if request.path in self.hanging:
            await asyncio.Event().wait()
        data = told["data"]
        answer = self.answers.get(data.get("recipient") or data["record_id"])
        if answer is None:
            return web.Response(status=204)
        return web.Response(status=answer.status, headers=answer.headers)

    @staticmethod
    def no(status: int) -> web.Response:
        """Return an answer of that status."""
        return web.Response(status=status)

    def told(self) -> list[tuple[str, str]]:
        """Return each event's type and whom it is about, in the order of arrival."""
        return [
            (event["type"], event["data"].get("recipient") or event["data"]["record_id"])
            for _, _, event in self.requests
        ]
