"""`penstock relay`: the process, and the switch that pauses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import orgs, relay_switch
from ops.commands.processes import serve
from ops.errors import WrongUsage
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from ops.stack.home import DATABASE_URL
from pipeline import logs
from workers.relay import service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ops.relay_switch import Paused


@click.group(invoke_without_command=True)
@pass_runtime
@click.pass_context
def relay(context: click.Context, runtime: Runtime) -> None:
    """Deliver what the outbox holds to its targets; or pause and resume that."""
    if context.invoked_subcommand is not None:
        return
    settings = runtime.settings(DATABASE_URL)
    logs.configure(settings.log, process="relay")
    serve(service.run(settings))


def _what_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is paused or resumed."""
    for option in (
        as_json,
        click.option("--target", help="Only webhook, mixmax, or the URL of a rule's webhook."),
        click.option("--org", "org_id", help="The sequence's org; may be left out with one org."),
        click.option("--sequence", help="Only what is to be told of this sequence."),
    ):
        command = option(command)
    return command


@relay.command()
@_what_options
@pass_runtime
def pause(
    runtime: Runtime, sequence: str | None, org_id: str | None, target: str | None, *, json: bool
) -> None:
    """Send nothing more, until it is resumed; enrolments go on and wait."""
    _check(sequence, org_id, target)
    _tell(run(_pause(runtime, sequence, org_id, target)), json=json)


@relay.command()
@_what_options
@click.option(
    "--restored",
    "is_restored",
    is_flag=True,
    help="All, after a restore and its replay: what waits may have been told before the loss.",
)
@pass_runtime
def resume(  # noqa: PLR0913  one parameter for each option
    runtime: Runtime,
    sequence: str | None,
    org_id: str | None,
    target: str | None,
    *,
    is_restored: bool,
    json: bool,
) -> None:
    """Send what waited. A target that answered 410 is stopped, too, until --target resumes it."""
    _check(sequence, org_id, target)
    if is_restored and (sequence or target):
        raise WrongUsage("--restored is of everything: it takes no --sequence and no --target")
    _tell(run(_resume(runtime, sequence, org_id, target, is_restored=is_restored)), json=json)


def _check(sequence: str | None, org_id: str | None, target: str | None) -> None:
    if sequence is not None and target is not None:
        raise WrongUsage("--sequence and --target exclude each other")
    if org_id is not None and sequence is None:
        raise WrongUsage("--org says whose --sequence is meant, which is missing")


def _tell(paused: Paused, *, json: bool) -> None:
    if json:
        print_json(paused)
        return
    lines = list(_lines(paused))
    for line in lines or ["nothing is paused"]:
        click.echo(printable(line))


def _lines(paused: Paused) -> Iterator[str]:
    for stop in paused.stops:
        what = "everything" if stop.target == relay_switch.EVERYTHING else f"target {stop.target}"
        yield f"{what} is paused since {stop.stopped_at}: {stop.reason}"
    for one in paused.sequences:
        yield f"sequence {one.sequence!r} of org {one.org_id} is paused"


async def _pause(
    runtime: Runtime, sequence: str | None, org_id: str | None, target: str | None
) -> Paused:
    async with runtime.database() as connection:
        if sequence is None:
            await relay_switch.pause_target(connection, target or relay_switch.EVERYTHING)
        else:
            owner = await orgs.resolve(connection, org_id)
            doubt = await relay_switch.pause_sequence(connection, owner, sequence)
            if doubt is not None:
                click.echo(printable(doubt), err=True)
        return await relay_switch.paused(connection)


async def _resume(
    runtime: Runtime,
    sequence: str | None,
    org_id: str | None,
    target: str | None,
    *,
    is_restored: bool,
) -> Paused:
    async with runtime.database() as connection:
        if is_restored:
            was_paused = await relay_switch.resume_restored(connection)
        elif sequence is None:
            target = target or relay_switch.EVERYTHING
            was_paused = await relay_switch.resume_target(connection, target)
        else:
            owner = await orgs.resolve(connection, org_id)
            was_paused = await relay_switch.resume_sequence(connection, owner, sequence)
        if not was_paused:
            click.echo("that was not paused", err=True)
        return await relay_switch.paused(connection)
