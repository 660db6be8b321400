"""Enrolments: who is in which sequence, why, and the release of who is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from aiohttp import web

from ops import actions, enrollments
from ops.actions import Action
from ops.commands.explain_lines import standing
from ops.console import asked
from ops.console.context import context_of, owner_of
from ops.console.rendering import page
from ops.enrollments import Held, State
from ops.errors import WrongUsage
from ops.explanation import explain_enrollment_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES: Final = get_args(State)

ROUTES = web.RouteTableDef()


@ROUTES.get("/enrollments")
async def listing(request: web.Request) -> web.Response:
    """Show enrolments, the newest first, in pages."""
    query = request.query
    recipient = asked.text(query, "recipient")
    async with context_of(request).pool.acquire() as connection:
        rows = await enrollments.newest(
            connection,
            org_id=asked.text(query, "org"),
            sequence=asked.text(query, "sequence"),
            state=_state(query),
            # As the recipient of an enrolment is kept.
            recipient=None if recipient is None else recipient.lower(),
            before=asked.number(query, "before"),
            limit=asked.PAGE + 1,
        )
    shown, has_more = asked.one_page(rows)
    return page(
        request,
        "enrollments.html",
        rows=shown,
        states=_STATES,
        next_key=shown[-1].id if has_more else None,
    )


@ROUTES.get(r"/enrollments/{id:\d{1,18}}")
async def one(request: web.Request) -> web.Response:
    """Explain an enrolment."""
    async with context_of(request).pool.acquire() as connection:
        found = await explain_enrollment_whole(connection, int(request.match_info["id"]))
    return page(
        request,
        "enrollment.html",
        found=found,
        standing=standing(found.state, found.sequence),
    )


@ROUTES.post(r"/enrollments/{id:\d{1,18}}/release")
async def release(request: web.Request) -> web.Response:
    """Let a held enrolment go to its target."""
    enrollment_id = int(request.match_info["id"])
    actor = owner_of(request).name
    async with (
        context_of(request).pool.acquire() as connection,
        actions.recorded(connection, Action.ENROLLMENTS_RELEASE, actor=actor, ids=[enrollment_id]),
    ):
        await enrollments.release(connection, Held(ids=[enrollment_id]), dry_run=False)
    raise web.HTTPSeeOther(f"/enrollments/{enrollment_id}")


def _state(query: Mapping[str, str]) -> State | None:
    given = asked.text(query, "state")
    for state in _STATES:
        if state == given:
            found: State = state
            return found
    if given is not None:
        raise WrongUsage(f"state: {given!r} is none of {', '.join(_STATES)}")
    return None
