"""`penstock enrollments`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import click
import msgspec
from rich.markup import escape

from ops import actions, orgs
from ops import enrollments as enrollment_store
from ops.actions import Action, command_line_actor
from ops.commands import limit as limits
from ops.commands.lines import times
from ops.enrollments import Held, State
from ops.runtime import (
    ROW_ID,
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    run,
)

if TYPE_CHECKING:
    from ops.enrollments import EnrollmentRow, Released

COLUMNS: Final = (
    "id",
    "org_id",
    "sequence",
    "recipient",
    "state",
    "reason",
    "rule",
    "object",
    "record_id",
    "enrolled_at",
)


@click.group()
def enrollments() -> None:
    """Look at who is in which sequence; release who is held."""


@enrollments.command("list")
@click.option("--org", "org_id", help="Only this org's.")
@click.option("--sequence", help="Only this sequence's.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only those in this state.")
@limit_option
@as_json
@pass_runtime
def list_(runtime: Runtime, /, limit: int, *, json: bool, **only: str | None) -> None:
    """List enrolments, oldest first."""
    read = run(_list(runtime, limits.one_more(limit), **only))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty=escape(_nobody(**only)))


@enrollments.command()
@click.argument("ids", metavar="[ID]…", nargs=-1, type=ROW_ID)
@click.option("--rule", help="Only those that this rule enrolled.")
@click.option("--sequence", help="Only this sequence's.")
@click.option("--org", "org_id", help="Only this org's.")
@click.option("--dry-run", is_flag=True, help="Say how many, and release none.")
@as_json
@pass_runtime
def release(
    runtime: Runtime, /, ids: tuple[int, ...], *, dry_run: bool, json: bool, **only: str | None
) -> None:
    """Let enrolments go that are held beyond their rule's ceiling, which counts them no more."""
    released = run(_release(runtime, Held(ids=ids or None, **only), dry_run=dry_run))
    if json:
        print_json(released)
        return
    would = "would be " if dry_run else ""
    click.echo(f"{times(released.released, 'enrolment')} {would}released")


def _nobody(org_id: str | None, sequence: str | None, state: str | None) -> str:
    if org_id is None and sequence is None and state is None:
        return "no one is enrolled yet"
    where = "enrolled" if sequence is None else f"in sequence {sequence!r}"
    how = "" if state is None else f" and {state}"
    return f"nobody is {where}{how}" + ("" if org_id is None else f" by org {org_id}")


async def _list(
    runtime: Runtime, limit: int, org_id: str | None, **only: str | None
) -> list[EnrollmentRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await enrollment_store.listing(connection, org_id=wanted, limit=limit, **only)


async def _release(runtime: Runtime, held: Held, *, dry_run: bool) -> Released:
    async with runtime.database() as connection:
        if held.org_id is not None:
            owner = await orgs.resolve(connection, held.org_id)
            held = msgspec.structs.replace(held, org_id=owner)
        if dry_run:
            return await enrollment_store.release(connection, held, dry_run=True)
        which = msgspec.to_builtins(held)
        async with actions.recorded(
            connection, Action.ENROLLMENTS_RELEASE, actor=command_line_actor(), **which
        ):
            return await enrollment_store.release(connection, held, dry_run=False)
