"""`penstock audit`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from ops import audit_report, audits, orgs
from ops.commands.audit_lines import (
    ObjectLine,
    head_line,
    object_line,
    schedule_line,
    tail_lines,
)
from ops.commands.load_lines import BEGIN_NOW
from ops.commands.object_option import objects_option
from ops.runtime import Runtime, as_json, pass_runtime, print_json, print_table, printable, run
from pipeline.objects import is_salesforce_id

if TYPE_CHECKING:
    from ops.audit_report import Audit
    from ops.audits import Schedule
    from ops.orgs import OrgState
    from pipeline.objects import SObject

_START: Final = "start"
_OFF: Final = "off"
_PERIOD: Final = re.compile(r"([1-9][0-9]{0,2})([dw])")
_UNITS_DAYS: Final = {"d": 1, "w": 7}
_MAX_DAYS: Final = 366


class _StartsByItself(click.Group):
    """A group whose `ORG_ID` alone means `start ORG_ID`: no command has the form of an id."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant."""
        return super().resolve_command(ctx, [_START, *args] if is_salesforce_id(args[0]) else args)


class Period(click.ParamType[int]):
    """A number of days: `7d`, `2w`; 0 for `off`."""

    name = "period"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read what was typed."""
        if isinstance(value, int):
            return value
        if value == _OFF:
            return 0
        period = _PERIOD.fullmatch(str(value))
        days = int(period[1]) * _UNITS_DAYS[period[2]] if period else 0
        if not 1 <= days <= _MAX_DAYS:
            self.fail(
                f"{value!r} is neither `off` nor a number of days, such as 7d or 2w", param, ctx
            )
        return days


@click.group(cls=_StartsByItself)
def audit() -> None:
    """Compare what is stored of an org with what it has; heal what differs.

    `penstock audit ORG_ID` is `penstock audit start ORG_ID`.
    """


@audit.command(_START)
@click.argument("org_id")
@objects_option("Only this object; may be given several times. Default: all that the org sends.")
@as_json
@pass_runtime
def start(runtime: Runtime, org_id: str, objects: tuple[SObject, ...], *, json: bool) -> None:
    """Start an audit, also as `penstock audit ORG_ID`; it goes on by itself, at no API quota."""
    org, begun = run(_start(runtime, org_id, objects))
    if json:
        print_json(begun)
        return
    what = ", ".join(one.object for one in begun.objects)
    click.echo(f"audit {begun.id} of org {org.org_id} compares {what}.")
    if org.state == "connected":
        for line in BEGIN_NOW:
            click.echo(line)
    else:
        click.echo(f"It begins once the org is connected and not paused; it is {org.state}.")
    click.echo(f"`penstock audit show {org.org_id}` shows how far it is.")


@audit.command()
@click.argument("org_id", required=False)
@click.option(
    "--all",
    "earlier",
    is_flag=True,
    help=f"Earlier ones as well, the newest {audit_report.MAX_AUDIT_COUNT}.",
)
@as_json
@pass_runtime
def show(runtime: Runtime, org_id: str | None, *, earlier: bool, json: bool) -> None:
    """Show what the newest audit found, and what to do about it. JSON: a list."""
    found, schedule = run(_show(runtime, org_id, earlier=earlier))
    if json:
        print_json(found)
        return
    if not found:
        click.echo(f"no audit yet: `penstock audit {schedule.org_id}`")
    for one in found:
        click.echo(head_line(one))
        columns = ObjectLine.__struct_fields__
        print_table([object_line(each) for each in one.objects], columns, empty="no object")
        for line in tail_lines(one):
            click.echo(printable(line))
        click.echo()
    click.echo(schedule_line(schedule, found[0] if found else None))


@audit.command()
@click.argument("org_id")
@objects_option("Only of this object; may be given several times. Default: all that are stopped.")
@as_json
@pass_runtime
def allow(runtime: Runtime, org_id: str, objects: tuple[SObject, ...], *, json: bool) -> None:
    """Let a stopped audit go on: somebody saw in Salesforce that what is absent is gone.

    The org is asked about each record, and only those that it says are gone become deleted.
    """
    allowed = run(_allow(runtime, org_id, objects))
    if json:
        print_json(allowed)
    else:
        click.echo(f"the audit of org {org_id} goes on with {', '.join(allowed)}")


@audit.command()
@click.argument("org_id")
@pass_runtime
def cancel(runtime: Runtime, org_id: str) -> None:
    """End the audit that is under way; what it healed stays."""
    click.echo(f"audit {run(_cancel(runtime, org_id))} of org {org_id} is cancelled")


@audit.command()
@click.argument("org_id")
@click.argument("period", type=Period(), metavar="7d|off")
@as_json
@pass_runtime
def schedule(runtime: Runtime, org_id: str, period: int, *, json: bool) -> None:
    """Audit an org every so many days (7d, 2w; at most 366d), the first time after as many."""
    found = run(_set_schedule(runtime, org_id, period or None))
    if json:
        print_json(found)
    else:
        click.echo(schedule_line(found))


async def _start(
    runtime: Runtime, org_id: str, objects: tuple[SObject, ...]
) -> tuple[OrgState, Audit]:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        begun = await audits.start(connection, wanted, objects)
        (org,) = await orgs.listing(connection, wanted)
        return org, begun


async def _show(
    runtime: Runtime, org_id: str | None, *, earlier: bool
) -> tuple[list[Audit], Schedule]:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        limit = audit_report.MAX_AUDIT_COUNT if earlier else 1
        found = await audit_report.listing(connection, wanted, limit=limit)
        return found, await audits.schedule(connection, wanted)


async def _allow(runtime: Runtime, org_id: str, objects: tuple[SObject, ...]) -> list[SObject]:
    async with runtime.database() as connection:
        return await audits.allow(connection, await orgs.resolve(connection, org_id), objects)


async def _cancel(runtime: Runtime, org_id: str) -> int:
    async with runtime.database() as connection:
        return await audits.cancel(connection, await orgs.resolve(connection, org_id))


async def _set_schedule(runtime: Runtime, org_id: str, every_days: int | None) -> Schedule:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await audits.set_schedule(connection, wanted, every_days)
