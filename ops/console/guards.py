"""What stands before every page, each thing in one place: who may ask, and what answers carry."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog
from aiohttp import hdrs, web

from ops import console_tokens
from ops.console.context import OWNER, SESSION, context_of, session_of
from ops.console.rendering import FORM_TOKEN, problem
from ops.console_tokens import Role
from ops.errors import OpsError, WrongUsage
from pipeline.database import DATABASE_ERRORS
from pipeline.settings import LOOPBACK
from rules import RuleError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

log = structlog.get_logger()

SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
STATIC: Final = "/static/"
_LOOKS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

_HEADERS: Final = {
    # Everything comes from here, nothing is inline, and nobody frames it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`, with which browsers send no Origin either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # What a page shows is nobody's who comes after.
    "Cache-Control": "no-store",
}


async def secure_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Give an answer the headers that every one has, where it has not its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def told_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what went wrong into a page that says so."""
    try:
        return await handler(request)
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        return problem(request, HTTPStatus(error.status), error.text or error.reason)
    except WrongUsage as error:
        return problem(request, HTTPStatus.BAD_REQUEST, str(error))
    except (OpsError, RuleError) as error:
        return problem(
            request,
            HTTPStatus.CONFLICT if request.method == hdrs.METH_POST else HTTPStatus.NOT_FOUND,
            str(error),
        )
    except DATABASE_ERRORS as error:
        log.warning("page_failed", path=request.path, error=error)
        return problem(
            request,
            HTTPStatus.SERVICE_UNAVAILABLE,
            "PostgreSQL did not answer in time. Nothing was changed, or all of it: look again.",
        )


@web.middleware
async def plain_address(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a path that names nothing: PostgreSQL has no text with a NUL to compare it with."""
    if "\0" in request.path:
        raise web.HTTPBadRequest(text="The address is no text.")
    return await handler(request)


@web.middleware
async def known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer by our own names only: a name of somebody else's may be made to lead to this address.

    Source: "DNS rebinding"; a page of such a name would be of the console's origin.
    """
    public = urlsplit(context_of(request).settings.console.public_url)
    try:
        name = urlsplit(f"//{request.host}").hostname
    except ValueError:
        name = None
    if name not in LOOPBACK and request.host != public.netloc:
        raise web.HTTPMisdirectedRequest(
            text="The console does not answer by this name. PENSTOCK_CONSOLE__PUBLIC_URL says by"
            " which it does, besides this machine's own."
        )
    return await handler(request)


@web.middleware
async def signed_in(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find out whose request it is; send who is not signed in to where they can."""
    context = context_of(request)
    session = context.sessions.read(request)
    if session is not None and session.token_id is not None:
        async with context.pool.acquire() as connection:
            owner = await console_tokens.standing(connection, session.token_id)
        if owner is None:
            session = None  # its token was revoked
        else:
            request[OWNER] = owner
    if session is not None:
        request[SESSION] = session
    is_open = request.path == SIGN_IN or request.path.startswith(STATIC)
    if OWNER in request or is_open:
        return await handler(request)
    if request.method not in _LOOKS:
        raise web.HTTPForbidden(text="Your session is over: sign in again. Nothing was changed.")
    response = web.HTTPSeeOther(SIGN_IN)
    context.sessions.end(response)
    raise response


@web.middleware
async def own_forms(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let only our own forms change anything, and only for those who may."""
    if request.method in _LOOKS:
        return await handler(request)
    session = session_of(request)
    try:
        token = (await request.post()).get(FORM_TOKEN)
    except (UnicodeDecodeError, LookupError):
        raise web.HTTPBadRequest(text="The form is not text. Nothing was changed.") from None
    origin = request.headers.get(hdrs.ORIGIN)
    if (
        session is None
        or not isinstance(token, str)
        or not context_of(request).sessions.is_form_token(session, token)
        or (origin is not None and urlsplit(origin).netloc != request.host)
    ):
        raise web.HTTPForbidden(
            text="This form is not from this session of the console: load the page again."
            " Nothing was changed."
        )
    owner = request.get(OWNER)
    may_operate = owner is not None and owner.role is Role.OPERATE
    if request.path not in {SIGN_IN, SIGN_OUT} and not may_operate:
        raise web.HTTPForbidden(
            text="Your token may look at everything and change nothing. Nothing was changed."
        )
    return await handler(request)
