"""`penstock explain`."""

from __future__ import annotations

import click

from ops.explanation import Explanation, explain_enrollment
from ops.runtime import ROW_ID, Runtime, as_json, pass_runtime, print_json, print_table, run


@click.command()
@click.argument("enrollment_id", metavar="ENROLLMENT", type=ROW_ID)
@as_json
@pass_runtime
def explain(runtime: Runtime, enrollment_id: int, *, json: bool) -> None:
    """Say why someone is enrolled, and when each stage handled it."""
    found = run(_explain(runtime, enrollment_id))
    if json:
        print_json(found)
        return
    click.echo(f"{found.recipient} is in sequence {found.sequence!r} ({found.state}) because")
    click.echo(
        f"rule {found.rule!r} (version {found.rule_version}) fired on the {found.operation}"
        f" of {found.object} {found.record_id}:"
    )
    for condition in found.conditions:
        click.echo(f"  - {condition.reads}")
    click.echo(f"capture {found.capture_id}, callout {found.callout_id}")
    if found.delivery is not None:
        trouble = f", last error: {found.last_error}" if found.last_error else ""
        click.echo(f"delivery {found.delivery} after {found.attempts} attempts{trouble}")
    print_table(found.stages, ("stage", "since_received_ms"), empty="no stage is known")


async def _explain(runtime: Runtime, enrollment_id: int) -> Explanation:
    async with runtime.database() as connection:
        return await explain_enrollment(connection, enrollment_id)
