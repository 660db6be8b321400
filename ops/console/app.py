"""The console's application: its routes, and what stands before them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from ops.console.attempts import Attempts
from ops.console.context import CONTEXT, Context
from ops.console.drivers import Drivers
from ops.console.guards import (
    SIGN_IN,
    SIGN_OUT,
    known_host,
    own_forms,
    plain_address,
    secure_headers,
    signed_in,
    told_problems,
)
from ops.console.pages import (
    actions,
    dead,
    enrollments,
    flow,
    orgs,
    records,
    rules,
    runs,
    sign_in,
)
from ops.console.rendering import templates
from ops.console.sessions import Sessions
from ops.console.watching import Watching

if TYPE_CHECKING:
    from pipeline.database import Pool
    from pipeline.settings import Settings

_STATIC: Final = Path(__file__).parent / "static"
_MOST_FORM_BYTES: Final = 64 * 1024


def application(settings: Settings, pool: Pool) -> web.Application:
    """Return the console. Its context says what has to run beside it."""
    context = Context(
        settings=settings,
        pool=pool,
        templates=templates(),
        sessions=Sessions(settings.console),
        attempts=Attempts(),
        watching=Watching(pool, settings.broker.url),
        drivers=Drivers(settings, pool),
    )
    app = web.Application(
        middlewares=[told_problems, known_host, plain_address, signed_in, own_forms],
        client_max_size=_MOST_FORM_BYTES,
    )
    app[CONTEXT] = context
    app.on_response_prepare.append(secure_headers)
    app.router.add_get("/", _start)
    app.router.add_get("/static/{file}", _static)
    app.router.add_get(SIGN_IN, sign_in.form)
    app.router.add_post(SIGN_IN, sign_in.sign_in)
    app.router.add_post(SIGN_OUT, sign_in.sign_out)
    for module in (flow, runs, dead, records, rules, enrollments, orgs, actions):
        app.router.add_routes(module.ROUTES)
    return app


async def _start(_: web.Request) -> web.Response:
    raise web.HTTPSeeOther("/flow")


async def _static(request: web.Request) -> web.StreamResponse:
    path = _STATIC / request.match_info["file"]
    # One segment of the address, so that it cannot lead elsewhere; and only what is there.
    if path.parent != _STATIC or not path.is_file():
        raise web.HTTPNotFound(text="There is no such page.")
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})
