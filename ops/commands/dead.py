"""`penstock dead`."""

from __future__ import annotations

import click

from ops import dead_letters, orgs
from ops.commands import limit as limits
from ops.dead_letters import DeadLetterRow, DeadLetterWhole
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
from ops.times import iso
from pipeline.errors import Reason


@click.group()
def dead() -> None:
    """Look at changes that could not be processed."""


@dead.command("list")
@click.option("--org", "org_id", help="Only this org's.")
@click.option(
    "--reason", type=click.Choice([reason.value for reason in Reason]), help="Only this reason's."
)
@limit_option
@as_json
@pass_runtime
def list_(
    runtime: Runtime, org_id: str | None, reason: str | None, limit: int, *, json: bool
) -> None:
    """List dead letters, oldest first."""
    read = run(_list(runtime, org_id, reason, limits.one_more(limit)))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        columns = ("id", "org_id", "object", "record_id", "reason", "error", "attempts", "dead_at")
        print_table(rows, columns, empty=_none(org_id, reason))


@dead.command()
@click.argument("dead_letter_id", metavar="ID", type=ROW_ID)
@as_json
@pass_runtime
def show(runtime: Runtime, dead_letter_id: int, *, json: bool) -> None:
    """Print one dead letter, whole."""
    found = run(_show(runtime, dead_letter_id))
    if json:
        print_json(found)
        return
    for field in DeadLetterWhole.__struct_fields__:
        value = getattr(found, field)
        if field in {"captured_at", "received_at"}:
            value = iso(value)
        if field != "original":
            click.echo(f"{field}: {printable(str(value))}")
    click.echo(f"original: {bytes(found.original).decode()}")


def _none(org_id: str | None, reason: str | None) -> str:
    told = "no dead letters"
    if reason is not None:
        told += f" with reason {reason}"
    return told if org_id is None else f"{told} of org {org_id}"


async def _list(
    runtime: Runtime, org_id: str | None, reason: str | None, limit: int
) -> list[DeadLetterRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await dead_letters.listing(connection, org_id=wanted, reason=reason, limit=limit)


async def _show(runtime: Runtime, dead_letter_id: int) -> DeadLetterWhole:
    async with runtime.database() as connection:
        return await dead_letters.show(connection, dead_letter_id)
