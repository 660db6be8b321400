"""Runs: planned, begun, watched, paused, resumed, cancelled."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from ops import bulk_runs, dead_letters
from ops.bulk_runs import RunKind, RunState
from ops.commands.dead_filter import told
from ops.commands.run_progress import counts
from ops.console import asked
from ops.console.context import context_of, owner_of
from ops.console.dead_filter import chosen, fields_of
from ops.console.rendering import page, render
from ops.console.streams import stream
from ops.errors import WrongUsage
from ops.run_kinds import require_rights

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun

_EVERY_S: Final = 0.5
_MOST_PER_S: Final = 100_000

ROUTES = web.RouteTableDef()


class Act(StrEnum):
    """What can be done to the dead letters of a filter."""

    REPLAY = "replay"
    DISCARD = "discard"


_KINDS: Final = {Act.REPLAY: RunKind.DEAD_REPLAY, Act.DISCARD: RunKind.DEAD_DISCARD}


@ROUTES.get("/dead/plan")
async def plan(request: web.Request) -> web.Response:
    """Show what a replay or a discard would be applied to, before anything is done."""
    act = asked.choice(request.query, "act", Act) or Act.REPLAY
    wanted = chosen(request.query)
    context = context_of(request)
    async with context.pool.acquire() as connection:
        planned = await dead_letters.plan(
            connection,
            _KINDS[act],
            wanted,
            retention_days=context.settings.database.retention_days,
        )
    return page(
        request,
        "dead_plan.html",
        plan=planned,
        act=act,
        told=told(wanted),
        fields=fields_of(wanted),
        rate_per_s=dead_letters.DEFAULT_RATE_PER_S,
        most_per_s=_MOST_PER_S,
    )


@ROUTES.post("/dead/runs")
async def begin(request: web.Request) -> web.Response:
    """Begin what was planned: what died since then is not meant."""
    form = await request.post()
    act = asked.choice(form, "act", Act)
    rate_per_s = asked.number(form, "rate_per_s") or dead_letters.DEFAULT_RATE_PER_S
    up_to_id = asked.number(form, "up_to_id")
    if act is None or up_to_id is None or not 0 < rate_per_s <= _MOST_PER_S:
        raise WrongUsage(f"say what to do, up to which, and at most {_MOST_PER_S:,} a second")
    context = context_of(request)
    async with context.pool.acquire() as connection:
        planned = await dead_letters.plan(
            connection,
            _KINDS[act],
            chosen(form),
            retention_days=context.settings.database.retention_days,
        )
        planned = msgspec.structs.replace(planned, up_to_id=min(planned.up_to_id, up_to_id))
        run = await dead_letters.begin(
            connection, planned, actor=owner_of(request).name, rate_per_s=rate_per_s
        )
    context.drivers.begin(run)
    raise web.HTTPSeeOther(f"/dead/runs/{run.id}")


@ROUTES.get("/dead/runs")
async def listing(request: web.Request) -> web.Response:
    """Show the runs, the newest first."""
    async with context_of(request).pool.acquire() as connection:
        rows = await bulk_runs.listing(
            connection,
            limit=asked.PAGE + 1,
            before_id=asked.number(request.query, "before"),
        )
    shown, has_more = asked.one_page(rows)
    return page(request, "runs.html", runs=shown, next_key=shown[-1].id if has_more else None)


@ROUTES.get(r"/dead/runs/{id:\d{1,18}}")
async def one(request: web.Request) -> web.Response:
    """Show one run, live while it is under way."""
    async with context_of(request).pool.acquire() as connection:
        run = await bulk_runs.show(connection, int(request.match_info["id"]))
    return page(request, "run.html", run=run, counts=counts(run), is_over=_is_over(run))


@ROUTES.get(r"/dead/runs/{id:\d{1,18}}/live")
async def live(request: web.Request) -> web.StreamResponse:
    """Send how far a run is until it is no longer under way."""

    async def show() -> tuple[str, bool]:
        async with context_of(request).pool.acquire() as connection:
            run = await bulk_runs.show(connection, int(request.match_info["id"]))
        return render(request, "run_live.html", run=run, counts=counts(run)), _is_over(run)

    return await stream(request, show, _EVERY_S)


@ROUTES.post(r"/dead/runs/{id:\d{1,18}}/{move:pause|resume|cancel}")
async def move(request: web.Request) -> web.Response:
    """Pause a run, let it go on, or end it; nothing is lost or done twice by any."""
    run_id, actor = int(request.match_info["id"]), owner_of(request).name
    context = context_of(request)
    async with context.pool.acquire() as connection:
        match request.match_info["move"]:
            case "pause":
                await bulk_runs.pause(connection, run_id, actor=actor)
            case "cancel":
                await bulk_runs.cancel(connection, run_id, actor=actor)
            case _:
                run = await bulk_runs.show(connection, run_id)
                await require_rights(connection, run.kind)
                context.drivers.begin(await bulk_runs.resume(connection, run_id, actor=actor))
    raise web.HTTPSeeOther(f"/dead/runs/{run_id}")


def _is_over(run: BulkRun) -> bool:
    """Tell whether nothing happens to a run by itself any more."""
    return run.state is not RunState.RUNNING
