"""`penstock migrate`."""

from __future__ import annotations

import time
from functools import partial

import click

from ops import conditions
from ops.errors import OpsError
from ops.runtime import Runtime, pass_runtime, run
from pipeline.database import MigrationHeld
from pipeline.database import migrate as migrate_database


@click.command()
@pass_runtime
def migrate(runtime: Runtime) -> None:
    """Bring the database up to date while all runs, with partitions made ahead."""
    applied = run(_migrate(runtime))
    numbers = ", ".join(f"{number:04}" for number in applied)
    click.echo(f"applied {numbers}" if applied else "the database is up to date")


async def _migrate(runtime: Runtime) -> list[int]:
    settings = runtime.settings()
    async with runtime.database() as connection:
        try:
            applied = await migrate_database(
                connection,
                retention_days=settings.database.retention_days,
                now_ms=time.time_ns() // 1_000_000,
                told=partial(click.echo, err=True),
            )
        except MigrationHeld as error:
            raise OpsError(f"{error}; run `penstock migrate` again to go on") from error
        if applied:
            # A newer version may want to hear of more fields than the one that wrote them.
            await conditions.refresh_all(connection)
        return applied
