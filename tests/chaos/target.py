"""A webhook target that honours idempotency keys, keeps a record, and fails in every way."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from ops.stack.ports import LOOPBACK, free_port
from tests.chaos.plan import Harm

if TYPE_CHECKING:
    from tests.chaos.flow import Flow

SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
# Below the relay's timeout: what is acted on is acted on before the relay tells of anything else.
_ACTS_WITHIN_S: Final = 0.5
# At times past the relay's timeout.
_LATEST_S: Final = 5.0
_STATUSES: Final = (500, 503, 429)
_SECOND_ANSWER: Final = b"HTTP/1.1 204 No Content\r\nServer: again\r\n\r\n"


class Target:
    """Takes what is signed. `harm` is what it does to requests at the moment, if anything."""

    def __init__(self, seed: int, flow: Flow) -> None:
        self.port = free_port()
        self.harm: Harm | None = None
        # What each key told, in the order in which it was acted on.
        self.keys: dict[str, tuple[str, ...]] = {}
        self.enrolled: dict[tuple[str, str, str], bool] = {}
        # When each request came, by key (Unix s).
        self.asked_s: dict[str, list[float]] = {}
        self.request_counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self._flow = flow
        self._rng = random.Random(f"target {seed}")
        self._hung = asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hung.set()
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        key = request.headers["Idempotency-Key"]
        told = msgspec.json.decode(body)
        self.request_counts[key] += 1
        self.asked_s.setdefault(key, []).append(time.time())
        harm = self.harm
        if harm is None:
            self._act(key, told)
            return web.Response(status=204)
        acts_first = self._rng.random() < 0.5
        if acts_first:
            await asyncio.sleep(_ACTS_WITHIN_S * self._rng.random())
            self._act(key, told)
        return await self._fail(request, harm, key, told, acted=acts_first)

    async def _fail(
        self,
        request: web.Request,
        harm: Harm,
        key: str,
        told: Any,  # noqa: ANN401  any JSON
        *,
        acted: bool,
    ) -> web.StreamResponse:
        match harm:
            case Harm.LATE:
                if not acted:
                    self._act(key, told)
                await asyncio.sleep(_LATEST_S * self._rng.random())
            case Harm.NEVER:
                await self._hung.wait()
            case Harm.ERRORS:
                status = self._rng.choice(_STATUSES)
                # 429 says that it did not act, so it must not have.
                if acted and status == 429:
                    status = 500
                asked = {"Retry-After": "1"} if status != 500 else {}
                return web.Response(status=status, headers=asked)
            case Harm.LOST_ANSWERS:
                if request.transport is not None:
                    request.transport.abort()
            case Harm.TWICE:
                if not acted:
                    self._act(key, told)
                self._answer_again(request)
            case _:
                raise AssertionError(harm)
        return web.Response(status=204)

    def _answer_again(self, request: web.Request) -> None:
        transport = request.transport

        def again() -> None:
            if transport is not None and not transport.is_closing():
                transport.write(_SECOND_ANSWER)

        asyncio.get_running_loop().call_later(0.05 * self._rng.random(), again)

    def _act(self, key: str, told: Any) -> None:  # noqa: ANN401  any JSON
        subject = _subject(told)
        if key in self.keys:
            if self.keys[key] != subject:
                self.broken.append(f"key {key} told of {self.keys[key]} and of {subject}")
            return
        self.keys[key] = subject
        self._flow.note_delivery()
        kind, *whom = subject
        if kind != "rule.fired":
            org_id, sequence, recipient = whom[:3]
            self.enrolled[org_id, sequence, recipient] = kind == "sequence.recipient.added"


def _subject(told: Any) -> tuple[str, ...]:  # noqa: ANN401  any JSON
    """Return what must be the same whenever a key is told again."""
    read = told["data"]
    if told["type"] == "rule.fired":
        names = ("rule", "object", "record_id", "capture_id")
    else:
        names = ("org_id", "sequence", "recipient", "generation")
    return (told["type"], *(str(read[name]) for name in names))
