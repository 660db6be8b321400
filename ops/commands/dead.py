"""`penstock dead`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ops import dead_letters
from ops.actions import command_line_actor
from ops.bulk_runs import RunKind
from ops.commands.dead_filter import chosen, filter_options, resolved, told
from ops.commands.dead_lines import plan_lines, whole_lines
from ops.commands.run_progress import drive_in_foreground, ending
from ops.dead_letters import DEFAULT_RATE_PER_S, DeadFilter
from ops.errors import WrongUsage
from ops.runtime import (
    ROW_ID,
    VERSION,
    Runtime,
    as_json,
    pass_runtime,
    print_json,
    print_table,
    run,
)
from ops.stack.home import BROKER_URL, DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Callable

    from ops.bulk_runs import BulkRun
    from ops.dead_letters import DeadGroup, DeadLetterRow, DeadLetterWhole, DeadPlan
    from pipeline.settings import Settings

_COLUMNS: Final = (
    "id",
    "org_id",
    "object",
    "record_id",
    "reason",
    "error",
    "state",
    "attempts",
    "dead_at",
)
_GROUP_COLUMNS: Final = ("reason", "count", "oldest_at", "newest_at", "sample_id", "sample_error")
_EVERYTHING: Final = DeadFilter()


@click.group()
def dead() -> None:
    """Find changes that could not be processed; replay or discard them."""


@dead.command("list")
@filter_options
@click.option("--group", is_flag=True, help="Count by reason, with a sample of each.")
@click.option("--after", "after_id", type=ROW_ID, help="Go on behind this id.")
@click.option("--limit", default=100, show_default=True, type=VERSION, help="Most rows.")
@as_json
@pass_runtime
def list_(
    runtime: Runtime,
    /,
    limit: int,
    after_id: int | None,
    *,
    group: bool,
    json: bool,
    **options: Any,
) -> None:
    """List dead letters by id, a page at a time, or count them by reason."""
    wanted = chosen((), options)
    if group:
        groups = run(_grouped(runtime, wanted))
        if json:
            print_json(groups)
        else:
            print_table(groups, _GROUP_COLUMNS, empty=f"no dead letters: {told(wanted)}")
        return
    read = run(_list(runtime, wanted, limit + 1, after_id or 0))
    rows = read[:limit]
    if json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS, empty=f"no dead letters: {told(wanted)}")
    if len(read) > limit:
        click.echo(f"more rows exist: --after {rows[-1].id}, or --group", err=True)


@dead.command()
@click.argument("dead_letter_id", metavar="ID", type=ROW_ID)
@as_json
@pass_runtime
def show(runtime: Runtime, dead_letter_id: int, *, json: bool) -> None:
    """Print one dead letter whole, with its records' values, decoded as far as it goes."""
    found = run(_show(runtime, dead_letter_id))
    if json:
        print_json(found)
        return
    for line in whole_lines(found):
        click.echo(line)


def _bulk_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what replay and discard have in common."""
    for option in (
        as_json,
        click.option(
            "--rate",
            "rate_per_s",
            type=click.IntRange(1, 100_000),
            default=DEFAULT_RATE_PER_S,
            show_default=True,
            help="Most letters a second.",
        ),
        click.option("--apply", "is_applied", is_flag=True, help="Act; without it, plan."),
        click.option("--all", "is_all", is_flag=True, help="No filter: every open dead letter."),
        filter_options,
        click.argument("ids", metavar="[ID]…", nargs=-1, type=ROW_ID),
    ):
        command = option(command)
    return command


@dead.command()
@_bulk_options
@pass_runtime
def replay(runtime: Runtime, /, **options: Any) -> None:
    """Publish dead letters again, by id or filter. Plans, and acts with --apply; Ctrl-C pauses.

    One that fails again is the same dead letter, open again.
    """
    _bulk(runtime, RunKind.DEAD_REPLAY, **options)


@dead.command()
@_bulk_options
@pass_runtime
def discard(runtime: Runtime, /, **options: Any) -> None:
    """Set dead letters aside for good, by id or filter. Plans, and acts with --apply.

    They are kept as discarded until the retention clears them.
    """
    _bulk(runtime, RunKind.DEAD_DISCARD, **options)


def _bulk(  # noqa: PLR0913  one parameter for each kind of option
    runtime: Runtime,
    kind: RunKind,
    ids: tuple[int, ...],
    rate_per_s: int,
    *,
    is_all: bool,
    is_applied: bool,
    json: bool,
    **options: Any,
) -> None:
    wanted = chosen(ids, options)
    if wanted == _EVERYTHING and not is_all:
        raise WrongUsage("say which: ids, a filter, or --all")
    if wanted != _EVERYTHING and is_all:
        raise WrongUsage("--all and a filter exclude each other")
    if not is_applied:
        settings = runtime.settings(DATABASE_URL)
        planned = run(_plan(runtime, settings, kind, wanted))
        if json:
            print_json(planned)
            return
        for line in plan_lines(planned, rate_per_s):
            click.echo(line)
        return
    settings = runtime.settings(BROKER_URL, DATABASE_URL)
    driven = run(_apply(runtime, settings, kind, wanted, rate_per_s))
    if json:
        print_json(driven)
    else:
        click.echo(ending(driven))


async def _list(
    runtime: Runtime, wanted: DeadFilter, limit: int, after_id: int
) -> list[DeadLetterRow]:
    async with runtime.database() as connection:
        wanted = await resolved(connection, wanted)
        return await dead_letters.listing(connection, wanted, limit=limit, after_id=after_id)


async def _grouped(runtime: Runtime, wanted: DeadFilter) -> list[DeadGroup]:
    async with runtime.database() as connection:
        return await dead_letters.grouped(connection, await resolved(connection, wanted))


async def _show(runtime: Runtime, dead_letter_id: int) -> DeadLetterWhole:
    async with runtime.database() as connection:
        return await dead_letters.show(connection, dead_letter_id)


async def _plan(
    runtime: Runtime, settings: Settings, kind: RunKind, wanted: DeadFilter
) -> DeadPlan:
    async with runtime.database() as connection:
        return await dead_letters.plan(
            connection,
            kind,
            await resolved(connection, wanted),
            retention_days=settings.database.retention_days,
        )


async def _apply(
    runtime: Runtime, settings: Settings, kind: RunKind, wanted: DeadFilter, rate_per_s: int
) -> BulkRun:
    planned = await _plan(runtime, settings, kind, wanted)
    async with runtime.database() as connection:
        begun = await dead_letters.begin(
            connection, planned, actor=command_line_actor(), rate_per_s=rate_per_s
        )
    click.echo(f"run {begun.id} begins: {planned.total_count:,} dead letters", err=True)
    return await drive_in_foreground(settings, begun)
