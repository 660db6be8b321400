"""`penstock org`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import actions, conditions, field_types, orgs
from ops.actions import Action, command_line_actor
from ops.commands.limit import first, one_more
from ops.commands.load_lines import needed_lines
from ops.commands.org_lines import OrgLine, org_line, org_lines
from ops.commands.org_load import load, loads_
from ops.runtime import (
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    printable,
    run,
)
from pipeline.objects import long_id

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, BinaryIO

    from ops.conditions import Watched
    from ops.field_types import DescribedObject
    from ops.orgs import ConnectCode, OrgState
    from pipeline.database import Connection


@click.group()
def org() -> None:
    """Register Salesforce orgs and connect them."""


@org.command()
@click.argument("org_id")
@click.option("--sync-user", required=True, help="Id of the user whose handshake connects it.")
@click.option(
    "--time-zone", default="UTC", show_default=True, help="In which dates in rules count."
)
@as_json
@pass_runtime
def add(runtime: Runtime, org_id: str, sync_user: str, time_zone: str, *, json: bool) -> None:
    """Register an org; print the code that connects it, once."""
    code = run(_add(runtime, org_id, sync_user, time_zone))
    told = f"org {code.org_id} is registered. Connect code, shown only now, good for 24 h:"
    _print_code(runtime, code, told, json=json)


@org.command("list")
@limit_option
@click.option("--after", default="", metavar="ORG_ID", help="Those whose ids come after this one.")
@as_json
@pass_runtime
def list_(runtime: Runtime, limit: int, after: str, *, json: bool) -> None:
    """List the orgs, whether they are connected, and what they last told of themselves."""
    rows = first(run(_list(runtime, after, one_more(limit))), limit)
    if json:
        print_json(rows)
    else:
        lines = [org_line(row) for row in rows]
        columns = OrgLine.__struct_fields__
        print_table(lines, columns, empty="no org is registered yet: `penstock org add`")


@org.command()
@click.argument("org_id", required=False)
@as_json
@pass_runtime
def show(runtime: Runtime, org_id: str | None, *, json: bool) -> None:
    """Show all that is known of one org."""
    found = run(_show(runtime, org_id))
    if json:
        print_json(found)
        return
    for line in org_lines(found):
        click.echo(printable(line))


@org.command()
@click.argument("org_id")
@as_json
@pass_runtime
def rotate(runtime: Runtime, org_id: str, *, json: bool) -> None:
    """Print a new connect code; the old secret stays good until the new one is first used."""
    code = run(_rotate(runtime, org_id))
    told = (
        f"org {code.org_id} has a new connect code, shown only now, good for 24 h;"
        " the old secret stays good until the new one is first used:"
    )
    _print_code(runtime, code, told, json=json)


@org.command()
@click.argument("org_id")
@pass_runtime
def pause(runtime: Runtime, org_id: str) -> None:
    """Answer the org's callouts with 403, so that it parks them."""
    run(_set_paused(runtime, org_id, paused=True))
    click.echo(f"org {org_id} is paused")


@org.command()
@click.argument("org_id")
@pass_runtime
def resume(runtime: Runtime, org_id: str) -> None:
    """Take the org's callouts in again."""
    run(_set_paused(runtime, org_id, paused=False))
    click.echo(f"org {org_id} is no longer paused")


@org.command("time-zone")
@click.argument("org_id")
@click.argument("time_zone")
@pass_runtime
def time_zone_(runtime: Runtime, org_id: str, time_zone: str) -> None:
    """Let dates in the org's rules count in TIME_ZONE, such as Europe/Berlin."""
    run(_set_time_zone(runtime, org_id, time_zone))
    click.echo(f"dates in rules of org {org_id} count in {time_zone}")


@org.command()
@click.argument("org_id")
@click.argument("fields", nargs=-1, required=True)
@as_json
@pass_runtime
def watch(runtime: Runtime, org_id: str, fields: tuple[str, ...], *, json: bool) -> None:
    """Send changes of FIELDS, such as Lead.Rating, though no rule reads them."""
    _print_watched(org_id, run(_watch(runtime, org_id, fields, conditions.watch)), json=json)


@org.command()
@click.argument("org_id")
@click.argument("fields", nargs=-1, required=True)
@as_json
@pass_runtime
def unwatch(runtime: Runtime, org_id: str, fields: tuple[str, ...], *, json: bool) -> None:
    """Take FIELDS back that were added with `watch`."""
    _print_watched(org_id, run(_watch(runtime, org_id, fields, conditions.unwatch)), json=json)


@org.command()
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
@click.option("--org", "org_id", help="The org; may be left out while there is one.")
@as_json
@pass_runtime
def describe(
    runtime: Runtime, files: tuple[BinaryIO, ...], org_id: str | None, *, json: bool
) -> None:
    """Read the fields of objects from FILES: DESCRIBE as JSON, as `sf sobject describe` prints it.

    Rules are checked against them when they are applied.
    """
    contents = [(file.name, file.read(field_types.MAX_DESCRIBE_BYTES + 1)) for file in files]
    found = run(_describe(runtime, org_id, contents))
    if json:
        print_json(found)
    else:
        print_table(found, ("object", "field_count"), empty="no object is described")


org.add_command(load)
org.add_command(loads_)


def _print_watched(org_id: str, watched: Watched, *, json: bool) -> None:
    for line in needed_lines(org_id, watched.loads, dry_run=False):
        click.echo(printable(line), err=True)
    if json:
        print_json(watched.fields)
    else:
        told = ", ".join(watched.fields) or "nothing"
        click.echo(f"org {org_id} sends, besides what its rules read: {told}")


def _print_code(runtime: Runtime, code: ConnectCode, told: str, *, json: bool) -> None:
    if json:
        print_json(code)
        return
    public_url = runtime.settings().ingest.public_url
    click.echo(f"{told}\n")
    click.echo(f"    {code.connect_code}\n")
    click.echo(
        "In Salesforce, with the Penstock package, its Sync User runs this as anonymous Apex:\n"
    )
    click.echo(f"    {code.apex(public_url)}\n")
    if not public_url:
        click.echo(
            f"Write ingest's address in place of {orgs.NO_PUBLIC_URL}, or set"
            " PENSTOCK_INGEST__PUBLIC_URL to have it here."
        )
    click.echo("`penstock org list` shows when that is done.")


async def _add(runtime: Runtime, org_id: str, sync_user: str, time_zone: str) -> ConnectCode:
    async with runtime.database() as connection:
        return await orgs.add(
            connection, org_id, sync_user, time_zone, runtime.settings().secrets.ring()
        )


async def _list(runtime: Runtime, after: str, limit: int) -> list[OrgState]:
    async with runtime.database() as connection:
        return await orgs.listing(connection, after=after, limit=limit)


async def _show(runtime: Runtime, org_id: str | None) -> OrgState:
    async with runtime.database() as connection:
        (found,) = await orgs.listing(connection, await orgs.resolve(connection, org_id))
        return found


async def _rotate(runtime: Runtime, org_id: str) -> ConnectCode:
    async with runtime.database() as connection:
        return await orgs.rotate(connection, org_id, runtime.settings().secrets.ring())


async def _set_paused(runtime: Runtime, org_id: str, *, paused: bool) -> None:
    action = Action.ORG_PAUSE if paused else Action.ORG_RESUME
    actor = command_line_actor()
    async with (
        runtime.database() as connection,
        actions.recorded(connection, action, actor=actor, org_id=long_id(org_id)),
    ):
        await orgs.set_paused(connection, org_id, paused=paused)


async def _set_time_zone(runtime: Runtime, org_id: str, time_zone: str) -> None:
    async with runtime.database() as connection:
        await orgs.set_time_zone(connection, org_id, time_zone)


async def _watch(
    runtime: Runtime,
    org_id: str,
    fields: tuple[str, ...],
    change: Callable[[Connection, str, tuple[str, ...]], Coroutine[Any, Any, Watched]],
) -> Watched:
    async with runtime.database() as connection:
        return await change(connection, await orgs.resolve(connection, org_id), fields)


async def _describe(
    runtime: Runtime, org_id: str | None, contents: list[tuple[str, bytes]]
) -> list[DescribedObject]:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        return await conditions.describe(connection, wanted, contents)
