"""Records: the newest changes of all, and the timeline of one record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from ops import records
from ops.console import asked
from ops.console.context import context_of
from ops.console.rendering import page
from ops.errors import WrongUsage
from ops.explanation import explain_capture, explain_record
from pipeline.objects import is_salesforce_id

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMELINE: Final = 10
_KEY_PARTS: Final = 3
# A capture may be called anything: who asks for what there is not reads no more of the history.
_CAPTURES_AMONG: Final = 1_000_000

ROUTES = web.RouteTableDef()


@ROUTES.get("/records")
async def newest(request: web.Request) -> web.Response:
    """Show the newest changes, and the form that finds a record; go to the one asked for."""
    name, org_id = asked.text(request.query, "record"), asked.text(request.query, "org")
    async with context_of(request).pool.acquire() as connection:
        if name is not None:
            if not is_salesforce_id(name):
                trails = await explain_capture(
                    connection, name, org_id, newest_count=_CAPTURES_AMONG
                )
                return page(request, "capture.html", name=name, trails=trails)
            found = await explain_record(connection, name, org_id, limit=1)
            raise web.HTTPSeeOther(f"/records/{found.org_id}/{found.record_id}")
        rows = await records.newest(
            connection, before=_newest_key(request.query), limit=asked.PAGE + 1
        )
    shown, has_more = asked.one_page(rows)
    return page(
        request,
        "records.html",
        changes=shown,
        next_key="~".join(map(str, shown[-1].key)) if has_more else None,
    )


@ROUTES.get("/records/{org_id}/{record_id}")
async def timeline(request: web.Request) -> web.Response:
    """Show what happened to a record, the newest change first, and what came of each."""
    org_id, record_id = request.match_info["org_id"], request.match_info["record_id"]
    if not is_salesforce_id(record_id):
        raise WrongUsage(f"{record_id!r} is not the id of a record (15 or 18 characters)")
    before = _timeline_key(request.query)
    async with context_of(request).pool.acquire() as connection:
        found = await explain_record(
            connection, record_id, org_id, limit=_TIMELINE + 1, before=before
        )
    # Oldest first, as a trail is told; the one too many is the oldest.
    has_more = len(found.changes) > _TIMELINE
    changes = found.changes[-_TIMELINE:]
    oldest = changes[0] if has_more else None
    return page(
        request,
        "record.html",
        found=found,
        changes=changes[::-1],
        is_first=before is None,
        next_key=None
        if oldest is None
        else f"{oldest.captured_at}~{oldest.sequence}~{oldest.capture_id}",
    )


def _newest_key(query: Mapping[str, str]) -> tuple[int, str, str] | None:
    parts = _key(query)
    return None if parts is None else (_whole(parts[0]), parts[1], parts[2])


def _timeline_key(query: Mapping[str, str]) -> tuple[int, int, str] | None:
    parts = _key(query)
    return None if parts is None else (_whole(parts[0]), _whole(parts[1]), parts[2])


def _key(query: Mapping[str, str]) -> list[str] | None:
    given = asked.text(query, "before")
    parts = None if given is None else given.split("~")
    if parts is not None and len(parts) != _KEY_PARTS:
        raise WrongUsage(f"before: {given!r} is no place in this list")
    return parts


def _whole(text: str) -> int:
    return asked.number({"before": text}, "before") or 0
