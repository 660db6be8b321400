"""Orgs: how each is, and one of them with its loads and audits."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ops import actions, audit_report, forget, gaps, loads, org_lag, orgs
from ops.actions import Action
from ops.commands.org_lines import OVERDUE_AFTER
from ops.console import asked
from ops.console.context import context_of, owner_of
from ops.console.rendering import page
from ops.errors import OpsError

_PAGE: Final = 100
_AUDITS: Final = 3
_GAPS: Final = 20

ROUTES = web.RouteTableDef()


@ROUTES.get("/orgs")
async def listing(request: web.Request) -> web.Response:
    """Show the orgs, in pages by id."""
    after = asked.text(request.query, "after") or ""
    async with context_of(request).pool.acquire() as connection:
        rows = await orgs.listing(connection, after=after, limit=_PAGE + 1)
        lags = await org_lag.lags(connection)
    shown, has_more = asked.one_page(rows, _PAGE)
    return page(
        request,
        "orgs.html",
        orgs=shown,
        lags=lags,
        overdue=_overdue(),
        next_key=shown[-1].org_id if has_more else None,
    )


@ROUTES.get("/orgs/{org_id}")
async def one(request: web.Request) -> web.Response:
    """Show one org: what it told, what it sends, how far its loads and audits are."""
    org_id = request.match_info["org_id"]
    async with context_of(request).pool.acquire() as connection:
        found = await orgs.listing(connection, org_id)
        if not found:
            raise OpsError(f"org {org_id} is not registered: `penstock org add` adds it")
        lags = await org_lag.lags(connection)
        return page(
            request,
            "org.html",
            org=found[0],
            lag=lags.get(org_id),
            overdue=_overdue(),
            loads=await loads.listing(connection, org_id),
            audits=await audit_report.listing(connection, org_id, limit=_AUDITS),
            gaps=await gaps.listing(
                connection, org_id=org_id, sobject=None, state=None, limit=_GAPS
            ),
            forgotten=await forget.count(connection, org_id),
        )


@ROUTES.post("/orgs/{org_id}/{state:pause|resume}")
async def set_paused(request: web.Request) -> web.Response:
    """Refuse an org's callouts, which it parks, or take them in again."""
    org_id = request.match_info["org_id"]
    paused = request.match_info["state"] == "pause"
    action = Action.ORG_PAUSE if paused else Action.ORG_RESUME
    async with (
        context_of(request).pool.acquire() as connection,
        actions.recorded(connection, action, actor=owner_of(request).name, org_id=org_id),
    ):
        await orgs.set_paused(connection, org_id, paused=paused)
    raise web.HTTPSeeOther(f"/orgs/{org_id}")


def _overdue() -> str:
    """Return the time before which a heartbeat is too long ago, RFC 3339."""
    at = datetime.now(UTC) - OVERDUE_AFTER
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
