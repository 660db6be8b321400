"""Dead letters: searched, grouped by reason, shown whole."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from ops import bulk_runs, dead_letters
from ops.commands.dead_filter import told
from ops.console import asked
from ops.console.context import context_of
from ops.console.dead_filter import Age, chosen, fields_of
from ops.console.rendering import page
from ops.dead_letters import DeadState
from pipeline.errors import Reason
from pipeline.objects import SObject

if TYPE_CHECKING:
    from ops.dead_letters import DeadFilter, DeadGroup
    from pipeline.database import Connection

# What takes longer to count is shown without its counts.
_COUNT_TIMEOUT_S: Final = 2.0
_OPEN_RUNS: Final = 5

ROUTES = web.RouteTableDef()


@ROUTES.get("/dead")
async def listing(request: web.Request) -> web.Response:
    """Show the dead letters that match, grouped by reason and a page of them by id."""
    wanted = chosen(request.query)
    async with context_of(request).pool.acquire() as connection:
        groups = await _grouped(connection, wanted)
        rows = await dead_letters.listing(
            connection,
            wanted,
            limit=asked.PAGE + 1,
            after_id=asked.number(request.query, "after") or 0,
        )
        runs = await bulk_runs.listing(connection, limit=_OPEN_RUNS, states=bulk_runs.OPEN)
    shown, has_more = asked.one_page(rows)
    return page(
        request,
        "dead.html",
        rows=shown,
        groups=groups,
        runs=runs,
        told=told(wanted),
        fields=fields_of(wanted),
        states=list(DeadState),
        reasons=list(Reason),
        objects=list(SObject),
        ages=list(Age),
        next_key=shown[-1].id if has_more else None,
    )


@ROUTES.get(r"/dead/{id:\d{1,18}}")
async def one(request: web.Request) -> web.Response:
    """Show one dead letter whole, decoded as far as it goes."""
    async with context_of(request).pool.acquire() as connection:
        found = await dead_letters.show(connection, int(request.match_info["id"]))
    return page(request, "dead_letter.html", found=found)


async def _grouped(connection: Connection, wanted: DeadFilter) -> list[DeadGroup] | None:
    """Count by reason; None if that takes too long."""
    try:
        async with asyncio.timeout(_COUNT_TIMEOUT_S):
            return await dead_letters.grouped(connection, wanted)
    except TimeoutError:
        return None
