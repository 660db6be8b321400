"""`penstock org load` and `org loads`."""

from __future__ import annotations

import sys
from asyncio import sleep as pause
from typing import TYPE_CHECKING, Final

import click
from rich.progress import BarColumn, Progress, TextColumn

from ops import loads, orgs
from ops.commands.load_lines import BEGIN_NOW, LoadLine, load_line, progress
from ops.commands.object_option import objects_option
from ops.commands.since import Time
from ops.errors import WrongUsage
from ops.runtime import Runtime, as_json, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.loads import Load, Started
    from ops.orgs import OrgState
    from pipeline.objects import SObject

_POLL_S: Final = 1.0


@click.command()
@click.argument("org_id")
@objects_option("Only this object; may be given several times. Default: all that rules need.")
@click.option(
    "--since", type=Time(), help="Only what changed since: 24h, 7d, 2026-05-01T12:00:00Z."
)
@click.option("--cancel", is_flag=True, help="Ask no more for what is not there yet.")
@click.option(
    "--follow/--no-follow", default=None, help="Show how far it is.  [default: on a terminal]"
)
@as_json
@pass_runtime
def load(  # noqa: PLR0913  one parameter for each argument of the command
    runtime: Runtime,
    org_id: str,
    objects: tuple[SObject, ...],
    since: int | None,
    *,
    cancel: bool,
    follow: bool | None,
    json: bool,
) -> None:
    """Ask an org for the records that it has already, at no API quota.

    They come in its callouts, whether this command is watched or not; no rule fires on them unless
    it says `on: [snapshot]`.
    """
    if cancel:
        if since is not None:
            raise WrongUsage("--cancel and --since exclude each other")
        _print_cancelled(org_id, run(_cancel(runtime, org_id, objects)), json=json)
        return
    org, started = run(_start(runtime, org_id, objects, since))
    if json:
        print_json(started)
        return
    _print_started(org, started)
    if org.state == "connected" and (sys.stdout.isatty() if follow is None else follow):
        _follow(runtime, org.org_id, {one.object for one in started.loads})
    else:
        click.echo(f"`penstock org loads {org.org_id}` shows how far it is.")


@click.command("loads")
@click.argument("org_id", required=False)
@as_json
@pass_runtime
def loads_(runtime: Runtime, org_id: str | None, *, json: bool) -> None:
    """Show how far the newest load of each object is."""
    found = run(_list(runtime, org_id))
    if json:
        print_json(found)
    else:
        columns = LoadLine.__struct_fields__
        empty = "nothing was loaded yet: `penstock org load ORG_ID`"
        print_table([load_line(one) for one in found], columns, empty=empty)


def _print_started(org: OrgState, started: Started) -> None:
    if started.begun:
        click.echo(f"org {org.org_id} is asked for its records of {', '.join(started.begun)}.")
    for one in started.loads:
        if one.object not in started.begun:
            click.echo(f"{one.object} is asked for already: {progress(one)}")
    if not org.connected:
        click.echo("It is not connected yet, and is asked once it is.")
    elif org.state != "connected":
        click.echo(f"It is paused, and is asked after `penstock org resume {org.org_id}`.")
    elif started.begun:
        for line in BEGIN_NOW:
            click.echo(line)


def _print_cancelled(org_id: str, withdrawn: list[SObject], *, json: bool) -> None:
    if json:
        print_json(withdrawn)
    else:
        click.echo(f"org {org_id} is no longer asked for {', '.join(withdrawn)}; what came stays")


def _follow(runtime: Runtime, org_id: str, objects: set[SObject]) -> None:
    try:
        run(_show_progress(runtime, org_id, objects))
    except KeyboardInterrupt:
        click.echo(
            f"\nThe load goes on by itself: `penstock org loads {org_id}` shows how far it is."
        )


async def _show_progress(runtime: Runtime, org_id: str, objects: set[SObject]) -> None:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.fields[told]}"))
    async with runtime.database() as connection:
        with Progress(*columns) as bars:
            tasks = {}
            while True:
                found = [
                    one for one in await loads.listing(connection, org_id) if one.object in objects
                ]
                for one in found:
                    if one.object not in tasks:
                        tasks[one.object] = bars.add_task(one.object, total=None, told="")
                    # A settled load's bar is full, whatever the org said at first.
                    total = one.total_count if one.state in loads.OPEN else one.sent_count
                    bars.update(
                        tasks[one.object],
                        total=total,
                        completed=one.sent_count,
                        told=progress(one),
                    )
                if not any(one.state in loads.OPEN for one in found):
                    return
                await pause(_POLL_S)


async def _start(
    runtime: Runtime, org_id: str, objects: tuple[SObject, ...], since: int | None
) -> tuple[OrgState, Started]:
    async with runtime.database() as connection:
        wanted = await orgs.resolve(connection, org_id)
        started = await loads.start(connection, wanted, objects, since)
        (org,) = await orgs.listing(connection, wanted)
        return org, started


async def _cancel(runtime: Runtime, org_id: str, objects: tuple[SObject, ...]) -> list[SObject]:
    async with runtime.database() as connection:
        return await loads.cancel(connection, await orgs.resolve(connection, org_id), objects)


async def _list(runtime: Runtime, org_id: str | None) -> list[Load]:
    async with runtime.database() as connection:
        return await loads.listing(connection, await orgs.resolve(connection, org_id))
