"""Flow: for each object the path from ingest to target, live."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from ops.console import asked
from ops.console.charts import Chart, draw, failures
from ops.console.context import context_of
from ops.console.rendering import page, render
from ops.console.streams import stream
from ops.console.watching import EVERY_S
from ops.flow import workers_needed

if TYPE_CHECKING:
    from ops.flow import Flow, ObjectFlow

# How often a chart is drawn anew, in the clock's own steps: `2026-11-29T04:36:4`.
_CHART_STEP: Final = len("2026-11-29T04:36:4")
_KINDS: Final = ("ingest", "worker", "relay", "console")
# Styles of the library's are in the image itself; nothing else is let in.
_CHART_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

ROUTES = web.RouteTableDef()


class Within(StrEnum):
    """In how many minutes a queue is to be drained."""

    ONE = "1"
    TEN = "10"
    SIXTY = "60"


@ROUTES.get("/flow")
async def flow(request: web.Request) -> web.Response:
    """Show the path of each object."""
    within = asked.choice(request.query, "within", Within) or Within.TEN
    found = await context_of(request).watching.flow()
    return page(request, "flow.html", **_shown(found, within), choices=list(Within))


@ROUTES.get("/flow/live")
async def live(request: web.Request) -> web.StreamResponse:
    """Send the path of each object again and again."""
    within = asked.choice(request.query, "within", Within) or Within.TEN
    watching = context_of(request).watching

    async def show() -> tuple[str, bool]:
        return render(request, "flow_live.html", **_shown(await watching.flow(), within)), False

    return await stream(request, show, EVERY_S)


@ROUTES.get("/flow/charts/{object}/{chart}.svg")
async def chart(request: web.Request) -> web.Response:
    """Draw a chart of an object's last hour."""
    wanted = asked.choice(request.match_info, "chart", Chart)
    found = await context_of(request).watching.flow()
    named = [one for one in found.objects if one.object == request.match_info["object"]]
    if wanted is None or not named:
        raise web.HTTPNotFound(text="There is no such chart.")
    return web.Response(
        body=draw(wanted, named[0]),
        content_type="image/svg+xml",
        headers={
            "Cache-Control": "private, max-age=60",
            "Content-Security-Policy": _CHART_POLICY,
        },
    )


def _shown(found: Flow, within: Within) -> dict[str, Any]:
    drains = {one.object: one for one in workers_needed(found, int(within) * 60.0)}
    busy = [one for one in found.objects if not _is_quiet(one)]
    running = Counter(one.kind for one in found.processes if one.state == "running")
    return {
        "flow": found,
        "busy": busy,
        "quiet": [one for one in found.objects if _is_quiet(one)],
        "drains": drains,
        "within": within,
        "running": [(kind, running[kind]) for kind in _KINDS],
        "silent": [one for one in found.processes if one.state == "silent"],
        "peaks": {
            one.object: max(max(m.accepted_count, m.committed_count) for m in one.minutes)
            for one in busy
        },
        "slowest": {
            one.object: max((m.latency.p99_ms or 0.0 for m in one.minutes), default=0.0)
            for one in busy
        },
        "failed": {one.object: sum(map(failures, one.minutes)) for one in busy},
        "drawn_at": found.at[:_CHART_STEP],
    }


def _is_quiet(one: ObjectFlow) -> bool:
    """Tell whether nothing came, waits or failed in the last hour."""
    return not (
        one.depth_count
        or one.in_hand_count
        or one.dead_queue_count
        or one.outbox.open_count
        or one.outbox.delayed_count
        or any(m.accepted_count or m.committed_count or failures(m) for m in one.minutes)
    )
