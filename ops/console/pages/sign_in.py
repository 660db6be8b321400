"""Signing in and out."""

from __future__ import annotations

import math
from http import HTTPStatus

import structlog
from aiohttp import web

from ops import console_tokens
from ops.console.context import OWNER, SESSION, context_of, session_of
from ops.console.guards import SIGN_IN
from ops.console.rendering import page
from pipeline.client_address import client_address

log = structlog.get_logger()


async def form(request: web.Request) -> web.Response:
    """Show the form. A visitor gets a session of their own, so that the form can be told ours."""
    if OWNER in request:
        raise web.HTTPSeeOther("/")
    return _form(request)


async def sign_in(request: web.Request) -> web.Response:
    """Begin a session for a token's owner."""
    context = context_of(request)
    token = (await request.post()).get("token")
    async with context.pool.acquire() as connection:
        owner = await console_tokens.owner_of(connection, token if isinstance(token, str) else "")
    if owner is None:
        # Only now: whoever has a right token comes in, however many strangers share the address.
        address = client_address(
            request.remote,
            request.headers.getall("X-Forwarded-For", ()),
            context.settings.console.trusted_networks(),
        )
        wait_s = context.attempts.wait_s(address)
        if wait_s > 0:
            return _form(
                request,
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many wrong tokens: try again in {math.ceil(wait_s)} s.",
                wait_s,
            )
        context.attempts.failed(address)
        log.warning("sign_in_refused", address=address)
        return _form(request, HTTPStatus.UNAUTHORIZED, "That is no token, or it was revoked.")
    log.info("signed_in", name=owner.name, role=owner.role)
    response = web.HTTPSeeOther("/")
    context.sessions.give(response, context.sessions.begin(owner.token_id))
    raise response


async def sign_out(request: web.Request) -> web.Response:
    """Have the browser forget its session."""
    response = web.HTTPSeeOther(SIGN_IN)
    context_of(request).sessions.end(response)
    raise response


def _form(
    request: web.Request,
    status: HTTPStatus = HTTPStatus.OK,
    error: str | None = None,
    wait_s: float = 0.0,
) -> web.Response:
    sessions = context_of(request).sessions
    session = request[SESSION] = session_of(request) or sessions.begin()
    response = page(request, "sign_in.html", status=status, error=error)
    # A session that somebody is signed in with ends when it does, whatever token is tried in it.
    if session.token_id is None:
        sessions.give(response, session)
    if wait_s:
        response.headers["Retry-After"] = str(math.ceil(wait_s))
    return response
