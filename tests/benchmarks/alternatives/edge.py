"""The edge of every alternative: verify, parse, publish one message a change, answer 202."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop
from aiohttp import web

from tests.benchmarks.alternatives import settings
from tests.benchmarks.alternatives.job import Change

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    # Publishes one message and returns once the broker has confirmed it.
    Publish = Callable[[bytes], Awaitable[object]]

_MAX_BODY_BYTES: Final = 12_000_000
_TOLERANCE_S: Final = 300
_KEY: Final = base64.b64decode(settings.SECRET.removeprefix("whsec_"))


class _Sides(msgspec.Struct):
    old: msgspec.Raw
    new: msgspec.Raw


class _Callout(msgspec.Struct):
    org_id: str
    object: str
    operation: str
    capture_id: str
    transaction_id: str
    sequence: int
    captured_at: int
    changes: list[_Sides]
    actor_id: str | None = None


class _Identity(msgspec.Struct):
    id: str = msgspec.field(name="Id")


_callouts: Final = msgspec.json.Decoder(_Callout)
_identities: Final = msgspec.json.Decoder(_Identity)
_encoder: Final = msgspec.json.Encoder()


def serve(open_publisher: Callable[[], AbstractAsyncContextManager[Publish]]) -> None:
    """Serve callouts until SIGTERM."""
    publish: Publish

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        if not _is_signed(request, body):
            return web.Response(status=401)
        messages = _messages(_callouts.decode(body), request.headers["webhook-id"])
        await asyncio.gather(*map(publish, messages))
        answer = _encoder.encode({"accepted": len(messages)})
        return web.Response(status=202, body=answer, content_type="application/json")

    async def connected(_: web.Application) -> AsyncIterator[None]:
        nonlocal publish
        async with open_publisher() as publish:
            settings.tell_ready()
            yield

    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.cleanup_ctx.append(connected)
    app.router.add_post("/v1/orgs/{org_id}/changes", post)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=settings.PORT, access_log=None, print=None)


def _is_signed(request: web.Request, body: bytes) -> bool:
    headers = request.headers
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
    if abs(time.time() - int(at)) > _TOLERANCE_S:
        return False
    signed = hmac.digest(_KEY, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(signed).decode()}"
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, one) for one in given)


def _messages(callout: _Callout, callout_id: str) -> list[bytes]:
    received_at = time.time_ns() // 1_000_000
    return [
        _encoder.encode(
            Change(
                captured_at=callout.captured_at,
                capture_id=callout.capture_id,
                record_id=_identities.decode(
                    change.old if bytes(change.new) == b"null" else change.new
                ).id,
                org_id=callout.org_id,
                object=callout.object,
                operation=callout.operation,
                sequence=callout.sequence,
                transaction_id=callout.transaction_id,
                actor_id=callout.actor_id,
                callout_id=callout_id,
                received_at=received_at,
                old=change.old,
                new=change.new,
            )
        )
        for change in callout.changes
    ]
