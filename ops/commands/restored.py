"""`penstock restored`."""

from __future__ import annotations

import click

from ops.actions import command_line_actor
from ops.restored import Restored, prepare
from ops.runtime import Runtime, as_json, pass_runtime, print_json, run


@click.command()
@as_json
@pass_runtime
def restored(runtime: Runtime, *, json: bool) -> None:
    """Ready a database restored from a backup, before anything runs on it.

    Pauses the relay, and gives out no number that the lost database may have given out. Then start
    workers and relays, `penstock replay --callouts`, and `penstock relay resume --restored`.
    """
    found = run(_prepare(runtime))
    if json:
        print_json(found)
        return
    click.echo(f"the relay is paused; numbers go on {found.skipped_count:,} further")
    if found.received_until is None:
        click.echo("the history is empty: everything that the log has is missing")
    else:
        click.echo(f"the newest change of the backup was received {found.received_until}")
        click.echo("what came later, and what waited in the queues then, is missing:")
    click.echo(
        "  penstock replay --callouts --since …   (from well before that on; 7d is never wrong)"
    )
    click.echo(
        "  penstock relay resume --restored       (once `penstock flow` shows nothing waiting)"
    )


async def _prepare(runtime: Runtime) -> Restored:
    async with runtime.database() as connection:
        return await prepare(connection, actor=command_line_actor())
