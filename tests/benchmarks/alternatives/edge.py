"""The edge of every alternative: verify, parse, publish one message a change, answer 202."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any, Final

import uvloop
from aiohttp import web
from pydantic import BaseModel

from tests.benchmarks.alternatives import settings
from tests.benchmarks.alternatives.job import Change

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    # Publishes one message and returns once the broker has confirmed it.
    Publish = Callable[[Change], Awaitable[object]]

_MAX_BODY_BYTES: Final = 12_000_000
_TOLERANCE_S: Final = 300
_KEY: Final = base64.b64decode(settings.SECRET.removeprefix("whsec_"))


class _Sides(BaseModel):
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None


class _Callout(BaseModel):
    org_id: str
    object: str
    operation: str
    capture_id: str
    transaction_id: str
    sequence: int
    captured_at: int
    changes: list[_Sides]
    actor_id: str | None = None


def serve(open_publisher: Callable[[], AbstractAsyncContextManager[Publish]]) -> None:
    """Serve callouts until SIGTERM."""
    publish: Publish

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        if not _is_signed(request, body):
            return web.Response(status=401)
        changes = _changes(_Callout.model_validate_json(body), request.headers["webhook-id"])
        await asyncio.gather(*map(publish, changes))
        return web.json_response({"accepted": len(changes)}, status=202)

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


def _changes(callout: _Callout, callout_id: str) -> list[Change]:
    received_at = time.time_ns() // 1_000_000
    return [
        Change(
            captured_at=callout.captured_at,
            capture_id=callout.capture_id,
            record_id=(change.new or change.old or {})["Id"],
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
        for change in callout.changes
    ]
