"""Audit: who did what, when, and what came of it."""

from __future__ import annotations

from aiohttp import web

from ops import actions
from ops.actions import Action
from ops.console import asked
from ops.console.context import context_of
from ops.console.rendering import page

ROUTES = web.RouteTableDef()


@ROUTES.get("/actions")
async def listing(request: web.Request) -> web.Response:
    """Show what people did, the newest first, in pages."""
    async with context_of(request).pool.acquire() as connection:
        rows = await actions.listing(
            connection,
            limit=asked.PAGE + 1,
            before_id=asked.number(request.query, "before"),
            actor=asked.text(request.query, "actor"),
            action=asked.choice(request.query, "action", Action),
        )
    shown, has_more = asked.one_page(rows)
    return page(
        request,
        "actions.html",
        actions=shown,
        choices=list(Action),
        next_key=shown[-1].id if has_more else None,
    )
