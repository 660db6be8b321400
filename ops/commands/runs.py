"""`penstock runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import msgspec

from ops import bulk_runs
from ops.actions import command_line_actor
from ops.bulk_runs import OPEN
from ops.commands import limit as limits
from ops.commands.run_progress import counts, ending, take_up
from ops.runtime import (
    ROW_ID,
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    printable,
    run,
)

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun

_COLUMNS: Final = ("id", "kind", "state", "progress", "created_by", "created_at", "driven_by")
_run_id: Final = click.argument("run_id", metavar="ID", type=ROW_ID)


class _RunLine(msgspec.Struct, frozen=True):
    id: int
    kind: str
    state: str
    progress: str
    created_by: str
    created_at: str
    driven_by: str | None


@click.group()
def runs() -> None:
    """Look at replays and discards of many things; pause, resume and cancel them."""


@runs.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@limit_option
@as_json
@pass_runtime
def list_(runtime: Runtime, limit: int, *, only_open: bool, json: bool) -> None:
    """List runs, newest first."""
    read = run(_list(runtime, limits.one_more(limit), only_open=only_open))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        print_table([_line(one) for one in rows], _COLUMNS, empty="no runs")


@runs.command()
@_run_id
@as_json
@pass_runtime
def show(runtime: Runtime, run_id: int, *, json: bool) -> None:
    """Print one run: what it is applied to, and how far it is."""
    _tell(run(_show(runtime, run_id)), json=json)


@runs.command()
@_run_id
@as_json
@pass_runtime
def pause(runtime: Runtime, run_id: int, *, json: bool) -> None:
    """Stop a run after the step under way; it keeps its place."""
    _tell(run(_pause(runtime, run_id)), json=json)


@runs.command()
@_run_id
@as_json
@pass_runtime
def cancel(runtime: Runtime, run_id: int, *, json: bool) -> None:
    """End a run after the step under way; what it has not reached is left as it was."""
    _tell(run(_cancel(runtime, run_id)), json=json)


@runs.command()
@_run_id
@as_json
@pass_runtime
def resume(runtime: Runtime, run_id: int, *, json: bool) -> None:
    """Go on with a run that was paused, that failed or whose process died; Ctrl-C pauses it."""
    driven = run(take_up(runtime, run_id))
    if json:
        print_json(driven)
    else:
        click.echo(ending(driven))


def _tell(found: BulkRun, *, json: bool) -> None:
    if json:
        print_json(found)
        return
    for field in ("id", "kind", "state", "created_by", "created_at"):
        click.echo(f"{field}: {printable(str(getattr(found, field)))}")
    click.echo(f"parameters: {printable(msgspec.json.encode(found.parameters).decode())}")
    click.echo(f"progress: {counts(found)}, at most {found.rate_per_s:,}/s")
    for field in ("driven_by", "error", "settled_at"):
        if (value := getattr(found, field)) is not None:
            click.echo(f"{field}: {printable(value)}")
    if found.state == "running" and found.driven_by is None:
        click.echo(f"nobody drives it: `penstock runs resume {found.id}` goes on")


def _line(one: BulkRun) -> _RunLine:
    return _RunLine(
        one.id,
        one.kind,
        one.state,
        counts(one),
        one.created_by,
        one.created_at,
        "nobody" if one.state == "running" and one.driven_by is None else one.driven_by,
    )


async def _list(runtime: Runtime, limit: int, *, only_open: bool) -> list[BulkRun]:
    async with runtime.database() as connection:
        states = OPEN if only_open else None
        return await bulk_runs.listing(connection, limit=limit, states=states)


async def _show(runtime: Runtime, run_id: int) -> BulkRun:
    async with runtime.database() as connection:
        return await bulk_runs.show(connection, run_id)


async def _pause(runtime: Runtime, run_id: int) -> BulkRun:
    async with runtime.database() as connection:
        return await bulk_runs.pause(connection, run_id, actor=command_line_actor())


async def _cancel(runtime: Runtime, run_id: int) -> BulkRun:
    async with runtime.database() as connection:
        return await bulk_runs.cancel(connection, run_id, actor=command_line_actor())
