"""The edge's limit, aiohttp that reads the body and answers 202: `python -m …bare_edge`."""

from __future__ import annotations

import uvloop
from aiohttp import web

from tests.benchmarks.alternatives import settings


async def post(request: web.Request) -> web.Response:
    """Read, and answer."""
    await request.read()
    return web.Response(status=202)


async def tell(_: web.Application) -> None:
    """Say that callouts are taken."""
    settings.tell_ready()


if __name__ == "__main__":
    app = web.Application(client_max_size=12_000_000)
    app.router.add_post("/v1/orgs/{org_id}/changes", post)
    app.on_startup.append(tell)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=settings.PORT, access_log=None, print=None)
