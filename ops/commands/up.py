"""`penstock up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops.local.run import run_local
from ops.runtime import pass_runtime, run

if TYPE_CHECKING:
    from ops.runtime import Runtime


@click.command()
@click.option("--once", is_flag=True, help="Play the sample org's story and exit.")
@click.option("--seed", type=int, help="Choose the sample org's people. Default: others each time.")
@pass_runtime
def up(runtime: Runtime, *, once: bool, seed: int | None) -> None:
    """Run everything on this machine, with a sample org that shows what it does."""
    run(run_local(runtime, once=once, seed=seed))
