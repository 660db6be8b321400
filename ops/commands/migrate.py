"""`penstock migrate`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import click

from ops import conditions
from ops.errors import OpsError
from ops.runtime import Runtime, pass_runtime, run
from pipeline.database import MigrationHeld, drop_partitions, read_schema
from pipeline.database import migrate as migrate_database
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from pipeline.database import Connection


@click.command()
@click.option(
    "--check", is_flag=True, help="Change nothing; 1 if this version cannot work with it."
)
@pass_runtime
def migrate(runtime: Runtime, *, check: bool) -> None:
    """Bring the database up to date while all runs, with partitions made ahead."""
    if check:
        click.echo(run(_check(runtime)))
        return
    applied = run(_migrate(runtime))
    numbers = ", ".join(f"{number:04}" for number in applied)
    click.echo(f"applied {numbers}" if applied else "the database is up to date")


async def _check(runtime: Runtime) -> str:
    """Say how the database stands to this version.

    Raises:
        OpsError: this version cannot work with it.
    """
    async with runtime.database() as connection:
        schema = await read_schema(connection)
    if problem := schema.problem():
        raise OpsError(problem)
    told = "the database is ready for this version"
    if schema.unknown:
        told += f"; a later one has migrated it ({max(schema.unknown):04})"
    if schema.leftover:
        rest = ", ".join(f"{number:04}" for number in schema.leftover)
        told += f"; {rest} waits until no older version runs: penstock migrate"
    return told


async def _drop_old(connection: Connection, retention_days: int) -> None:
    """Drop what of the history is older than the retention, which is left to the owner."""
    try:
        dropped = await drop_partitions(
            connection, retention_days=retention_days, now_ms=time.time_ns() // 1_000_000
        )
    except TransientError as error:
        click.echo(str(error), err=True)
    else:
        for name in dropped:
            click.echo(f"dropped {name}: older than {retention_days} days", err=True)


async def _refresh(connection: Connection) -> None:
    try:
        await conditions.refresh_all(connection)
    except OpsError as error:
        raise OpsError(f"the database is up to date, but {error}") from error


async def _migrate(runtime: Runtime) -> list[int]:
    settings = runtime.settings()
    async with runtime.database() as connection:
        schema = await read_schema(connection)
        if schema.is_too_new:
            raise OpsError(str(schema.problem()))
        try:
            applied = await migrate_database(
                connection,
                retention_days=settings.database.retention_days,
                now_ms=time.time_ns() // 1_000_000,
                told=partial(click.echo, err=True),
            )
        except MigrationHeld as error:
            raise OpsError(f"{error}; run `penstock migrate` again to go on") from error
        await _drop_old(connection, settings.database.retention_days)
        # A newer version may want to hear of more fields than the one that wrote them, also where
        # it has no migration, or a call before this one broke off.
        if schema.unknown:
            click.echo("orgs keep the conditions that the later version wrote", err=True)
        else:
            await _refresh(connection)
        return applied
