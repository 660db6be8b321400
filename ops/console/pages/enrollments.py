"""Enrolments: who is in which sequence, why, and the release of who is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import msgspec
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


@ROUTES.get("/enrollments/release")
async def plan_release(request: web.Request) -> web.Response:
    """Say how many held enrolments would be released."""
    held = _held(request.query)
    async with context_of(request).pool.acquire() as connection:
        planned = await enrollments.release(connection, held, dry_run=True)
    return page(request, "release.html", held=held, count=planned.released)


@ROUTES.post("/enrollments/release")
async def release_all(request: web.Request) -> web.Response:
    """Let all held enrolments of an org, a sequence or a rule go to their target."""
    held = _held(await request.post())
    await _release(request, held)
    raise web.HTTPSeeOther("/enrollments")


@ROUTES.post(r"/enrollments/{id:\d{1,18}}/release")
async def release(request: web.Request) -> web.Response:
    """Let a held enrolment go to its target."""
    enrollment_id = int(request.match_info["id"])
    await _release(request, Held(ids=[enrollment_id]))
    raise web.HTTPSeeOther(f"/enrollments/{enrollment_id}")


async def _release(request: web.Request, held: Held) -> None:
    actor, which = owner_of(request).name, msgspec.to_builtins(held)
    async with (
        context_of(request).pool.acquire() as connection,
        actions.recorded(connection, Action.ENROLLMENTS_RELEASE, actor=actor, **which),
    ):
        await enrollments.release(connection, held, dry_run=False)


def _held(fields: Mapping[str, object]) -> Held:
    """Return which are meant; none is refused by what releases."""
    return Held(
        org_id=asked.text(fields, "org"),
        rule=asked.text(fields, "rule"),
        sequence=asked.text(fields, "sequence"),
    )


def _state(query: Mapping[str, str]) -> State | None:
    given = asked.text(query, "state")
    for state in _STATES:
        if state == given:
            found: State = state
            return found
    if given is not None:
        raise WrongUsage(f"state: {given!r} is none of {', '.join(_STATES)}")
    return None
