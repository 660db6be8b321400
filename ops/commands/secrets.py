"""`penstock secrets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import actions, org_secrets
from ops.actions import Action, command_line_actor
from ops.commands.lines import times
from ops.errors import WrongUsage
from ops.runtime import Runtime, pass_runtime, run
from pipeline.key_ring import new_key

if TYPE_CHECKING:
    from ops.org_secrets import Rotated


@click.group()
def secrets() -> None:
    """Encrypt orgs' secrets in the database, and change the key."""


@secrets.command("new-key")
def new_key_() -> None:
    """Print a fresh key for PENSTOCK_SECRETS__KEYS."""
    click.echo(new_key())


@secrets.command()
@pass_runtime
def rotate(runtime: Runtime) -> None:
    """Encrypt what is plain or under an older key with the first key, while all keeps running."""
    done = run(_rotate(runtime))
    click.echo(
        f"secrets of {times(done.encrypted_count, 'org')} encrypted under the newest key,"
        f" of {done.current_count} already were"
    )


async def _rotate(runtime: Runtime) -> Rotated:
    ring = runtime.settings().secrets.ring()
    if not ring:
        raise WrongUsage(
            "PENSTOCK_SECRETS__KEYS is not set: `penstock secrets new-key` prints a key"
        )
    async with runtime.database() as connection:
        done = await org_secrets.rotate(connection, ring)
        # Each org is committed by itself, so that this comes after them all.
        await actions.record(
            connection,
            Action.SECRETS_ROTATE,
            actor=command_line_actor(),
            parameters={},
            outcome=f"{done.encrypted_count} encrypted, {done.current_count} already were",
        )
        return done
