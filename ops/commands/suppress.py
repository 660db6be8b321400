"""`penstock suppress`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from ops import orgs, suppressions
from ops.commands import limit as limits
from ops.commands.lines import times
from ops.runtime import Runtime, as_json, limit_option, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.suppressions import SuppressionRow

_COLUMNS: Final = ("value", "org_id", "reason", "added_at")

_MOST_NAMED: Final = 10

_values = click.argument("values", metavar="ADDRESS-or-DOMAIN…", nargs=-1, required=True)
_org_option = click.option("--org", "org_id", help="Only for this org. Default: for every org.")


@click.group()
def suppress() -> None:
    """Keep addresses and domains that nothing is sent to, whatever rules say."""


@suppress.command()
@_values
@_org_option
@click.option("--reason", help="Why; shown with each enrolment that it stops.")
@as_json
@pass_runtime
def add(
    runtime: Runtime,
    values: tuple[str, ...],
    org_id: str | None,
    reason: str | None,
    *,
    json: bool,
) -> None:
    """Add nobody of these to any sequence again. A domain is meant with all below it."""
    _tell("suppressed", run(_add(runtime, values, org_id, reason)), json=json)


@suppress.command()
@_values
@_org_option
@as_json
@pass_runtime
def remove(runtime: Runtime, values: tuple[str, ...], org_id: str | None, *, json: bool) -> None:
    """Take these off the list. Enrolments that it stopped stay as they are."""
    _tell("no longer suppressed", run(_remove(runtime, values, org_id)), json=json)


@suppress.command("list")
@click.option("--org", "org_id", help="Only what applies to this org.")
@limit_option
@as_json
@pass_runtime
def list_(runtime: Runtime, org_id: str | None, limit: int, *, json: bool) -> None:
    """List what is suppressed."""
    read = run(_list(runtime, org_id, limits.one_more(limit)))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS, empty="nothing is suppressed")


def _tell(what: str, rows: list[SuppressionRow], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    whose = "every org" if rows[0].org_id is None else f"org {rows[0].org_id}"
    names = ", ".join(row.value for row in rows[:_MOST_NAMED])
    others = len(rows) - _MOST_NAMED
    more = f" and {times(others, 'other')}" if others > 0 else ""
    click.echo(f"{what} for {whose}: {names}{more}")


async def _add(
    runtime: Runtime, values: tuple[str, ...], org_id: str | None, reason: str | None
) -> list[SuppressionRow]:
    async with runtime.database() as connection:
        owner = None if org_id is None else await orgs.resolve(connection, org_id)
        return await suppressions.add(connection, values, org_id=owner, reason=reason)


async def _remove(
    runtime: Runtime, values: tuple[str, ...], org_id: str | None
) -> list[SuppressionRow]:
    async with runtime.database() as connection:
        owner = None if org_id is None else await orgs.resolve(connection, org_id)
        return await suppressions.remove(connection, values, org_id=owner)


async def _list(runtime: Runtime, org_id: str | None, limit: int) -> list[SuppressionRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await suppressions.listing(connection, org_id=wanted, limit=limit)
