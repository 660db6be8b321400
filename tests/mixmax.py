"""A Mixmax that answers as its reference says, and fails where it was told to.

It keeps who is in which sequence. Who was ever added to a sequence is `duplicated` from then on;
who has been cancelled stays so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN: Final = "mixmax-token"


class Mixmax:
    """Fails with the next of `fails`.

    That is a status or `hang`; or, after it acted, `hang after`, `lost answer`, `garbage` or
    `endless`. `statuses` are by recipient; `missing` are left out of answers; for `blamed` ones the
    whole request is refused.
    """

    def __init__(self) -> None:
        self.url = ""
        self.fails: list[str] = []
        self.acted = asyncio.Event()
        self.statuses: dict[str, str] = {}
        self.missing: set[str] = set()
        self.blamed: set[str] = set()
        # How often each (sequence, recipient) was really added.
        self.added: Counter[tuple[str, str]] = Counter()
        self.cancelled: set[tuple[str, str]] = set()
        self.requests: list[tuple[str, Any]] = []
        self.app = web.Application(client_max_size=2**24)
        self.app.router.add_post("/sequences/{id}/recipients/", self._add)
        self.app.router.add_post("/sequences/{id}/cancel", self._cancel)

    async def _add(self, request: web.Request) -> web.StreamResponse:
        told = await self._read(request)
        if failed := await self._fail():
            return failed
        if any(one["email"] in self.blamed for one in told["recipients"]):
            return web.json_response({"message": "invalid recipient"}, status=400)
        sequence = request.match_info["id"]
        answer = [
            self._added(sequence, one)
            for one in told["recipients"]
            if one["email"] not in self.missing
        ]
        return await self._answer(request, answer)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        told = await self._read(request)
        if failed := await self._fail():
            return failed
        keys = {(request.match_info["id"], email) for email in told["emails"]}
        known = keys & self.added.keys()
        self.cancelled |= known
        return await self._answer(request, [{"email": email} for _, email in sorted(known)])

    def _added(self, sequence: str, one: dict[str, Any]) -> dict[str, Any]:
        email = one["email"]
        status = self.statuses.get(email, "success")
        if self.added[sequence, email] and status == "success":
            status = "duplicated"
        if status == "success":
            self.added[sequence, email] += 1
        told: dict[str, Any] = {"email": email.capitalize(), "status": status}
        return told | ({"errors": ["variable missing"]} if status == "error" else {})

    async def _read(self, request: web.Request) -> Any:  # noqa: ANN401  JSON
        told = msgspec.json.decode(await request.read())
        self.requests.append((request.path, told))
        if request.headers.get("X-API-Token") != TOKEN:
            raise web.HTTPUnauthorized
        return told

    async def _fail(self) -> web.StreamResponse | None:
        """Fail before it acts, if that is what it was told to."""
        match self.fails[:1]:
            case [] | ["lost answer" | "garbage" | "endless" | "hang after"]:
                pass
            case ["hang"]:
                self.fails.pop(0)
                await asyncio.Event().wait()
            case [status, *_]:
                self.fails.pop(0)
                asked = {"Retry-After": "1"} if status == "429" else {}
                return web.Response(status=int(status), headers=asked)
            case _:
                pass
        return None

    async def _answer(self, request: web.Request, told: list[Any]) -> web.StreamResponse:
        """Answer, after it acted, unless that is what fails."""
        match self.fails[:1]:
            case ["lost answer"]:
                self.fails.pop(0)
                assert request.transport is not None
                request.transport.abort()
            case ["garbage"]:
                self.fails.pop(0)
                return web.Response(text="<html>")
            case ["hang after"]:
                self.fails.pop(0)
                self.acted.set()
                await asyncio.Event().wait()
            case ["endless"]:
                self.fails.pop(0)
                return web.Response(body=b" " * 2**21)
            case _:
                pass
        return web.json_response({"recipients": told})

    def twice(self) -> Iterator[tuple[str, str]]:
        """Yield who was added more than once."""
        return (key for key, count in self.added.items() if count > 1)
