"""`penstock forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import msgspec

from ops import bulk_runs, orgs
from ops import forget as forgetting
from ops.actions import command_line_actor
from ops.bulk_runs import OPEN, RunKind, RunState
from ops.commands.lines import times
from ops.commands.run_progress import drive_in_foreground, ending, take_up
from ops.errors import OpsError, WrongUsage
from ops.runtime import Runtime, as_json, pass_runtime, print_json, printable, run
from ops.stack.home import BROKER_URL, DATABASE_URL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from ops.bulk_runs import BulkRun
    from ops.forget import ForgetPlan, Kept, Person

_MOST_NAMED: Final = 20


@click.command()
@click.argument("org_id", metavar="[ORG_ID]", required=False)
@click.option("--email", "emails", multiple=True, help="An address of the person.")
@click.option("--record", "record_ids", multiple=True, help="A record of the person: its id.")
@click.option("--block", "is_blocked", is_flag=True, help="Take nothing of the address ever again.")
@click.option("--no-exit", is_flag=True, help="Do not tell targets that have the person.")
@click.option("--kept", "is_kept", is_flag=True, help="Print all tombstones as JSON, to be kept.")
@click.option("--again", "file", type=click.File("rb"), help="Forget whoever a kept file names.")
@click.option("--apply", "is_applied", is_flag=True, help="Act; without it, plan.")
@as_json
@pass_runtime
def forget(  # noqa: PLR0913  an option each
    runtime: Runtime,
    org_id: str | None,
    emails: tuple[str, ...],
    record_ids: tuple[str, ...],
    file: IO[bytes] | None,
    *,
    is_blocked: bool,
    no_exit: bool,
    is_kept: bool,
    is_applied: bool,
    json: bool,
) -> None:
    """Erase a person everywhere. Plans, and acts with --apply; Ctrl-C pauses.

    What comes of the person's records later is dropped, and what was captured before of the
    address; with --block, whatever comes of it. --kept and --again are for restored databases.
    """
    of_one = org_id or emails or record_ids or is_blocked or no_exit
    if (is_kept or file) and (of_one or (is_kept and file)):
        raise WrongUsage(
            "--kept and --again are of all who are forgotten: each stands alone, and who was"
            " blocked stays so"
        )
    if is_kept:
        print_json(run(_kept(runtime)))
        return
    if file is not None:
        runs = run(_again(runtime, _read(file), is_applied=is_applied))
        if json:
            print_json(runs)
        for one in [] if json else runs:
            click.echo(ending(one))
        if left := [str(one.id) for one in runs if one.state in OPEN]:
            raise OpsError(
                f"not everybody is erased: these runs are not finished: {', '.join(left)}"
                " (`penstock runs resume ID`)"
            )
        return
    planned, driven = run(
        _forget(
            runtime,
            org_id,
            forgetting.named("", emails, record_ids, is_blocked=is_blocked, tells=not no_exit),
            is_applied=is_applied,
        )
    )
    if json:
        print_json(planned if driven is None else driven)
        return
    for line in _lines(planned) if driven is None else [ending(driven)]:
        click.echo(printable(line))


def _lines(planned: ForgetPlan) -> Iterator[str]:
    person = planned.person
    yield f"{times(len(planned.records), 'record')} of the person in org {person.org_id}:"
    for one in planned.records[:_MOST_NAMED]:
        yield f"  {one.object or 'gone'} {one.record_id}"
    if len(planned.records) > _MOST_NAMED:
        yield f"  and {len(planned.records) - _MOST_NAMED:,} more (--json names all)"
    yield "Would be erased, besides every mention of the address:"
    for table, count in planned.counts.items():
        yield f"  {count:>7,}  {table}"
    if planned.other_addresses:
        yield (
            f"Their records also carry {', '.join(planned.other_addresses)}: if that is the"
            " person's own, add it with --email"
        )
    if planned.rules:
        yield f"The address stays in the text of rules: {', '.join(planned.rules)}"
    yield "Nothing was done yet: add --apply"


def _read(file: IO[bytes]) -> Kept:
    try:
        return msgspec.json.decode(file.read(), type=forgetting.Kept)
    except msgspec.DecodeError as error:
        raise WrongUsage(f"{file.name} is not what --kept printed: {error}") from error


async def _forget(
    runtime: Runtime, org_id: str | None, person: Person, *, is_applied: bool
) -> tuple[ForgetPlan, BulkRun | None]:
    async with runtime.database() as connection:
        owner = await orgs.resolve(connection, org_id)
        person = msgspec.structs.replace(person, org_id=owner)
        planned = await forgetting.plan(connection, person)
        if not is_applied:
            return planned, None
        begun = await forgetting.begin(connection, person, actor=command_line_actor())
    return planned, await _drive(runtime, begun)


async def _kept(runtime: Runtime) -> Kept:
    async with runtime.database() as connection:
        return await forgetting.kept(connection)


async def _again(runtime: Runtime, known: Kept, *, is_applied: bool) -> list[BulkRun]:
    """Erase whom a database lacks the tombstones of, and whom earlier runs have not erased yet.

    Returns those runs as they are then. A run that tells targets is left to `runs resume`: after a
    restore it would wait for a relay that is paused.
    """
    async with runtime.database() as connection:
        missing = await forgetting.lacking(connection, known)
        earlier = await bulk_runs.unfinished(connection, RunKind.FORGET)
        if not missing and not earlier:
            click.echo("the database has every one of these tombstones: nothing to do", err=True)
            return []
        if not is_applied:
            count = f"{len(missing):,} of {times(len(known.tombstones), 'tombstone')}"
            click.echo(f"{count} would be written and applied again: add --apply", err=True)
            for one in earlier:
                click.echo(f"not finished yet: {ending(one)}", err=True)
            return []
        begun = await forgetting.again(connection, known, actor=command_line_actor())
    for one in [*begun, *(one for one in earlier if not one.parameters["tells"])]:
        try:
            driven = await (_drive(runtime, one) if one in begun else take_up(runtime, one.id))
        except OpsError as error:
            # The other orgs' people are to be forgotten all the same.
            click.echo(str(error), err=True)
        else:
            if driven.state is RunState.PAUSED:
                break
    async with runtime.database() as connection:
        return [await bulk_runs.show(connection, one.id) for one in [*earlier, *begun]]


async def _drive(runtime: Runtime, begun: BulkRun) -> BulkRun:
    click.echo(f"run {begun.id} begins: its tombstones hold from now on", err=True)
    return await drive_in_foreground(runtime.settings(BROKER_URL, DATABASE_URL), begun)
