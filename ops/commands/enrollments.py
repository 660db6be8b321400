"""`penstock enrollments`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ops import enrollments as enrollment_store
from ops import orgs
from ops.runtime import Runtime, as_json, limit_option, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.enrollments import EnrollmentRow


@click.group()
def enrollments() -> None:
    """Look at who is in which sequence."""


@enrollments.command("list")
@click.option("--org", "org_id", help="Only this org's.")
@click.option("--sequence", help="Only this sequence's.")
@limit_option
@as_json
@pass_runtime
def list_(
    runtime: Runtime, org_id: str | None, sequence: str | None, limit: int, *, json: bool
) -> None:
    """List enrolments, oldest first."""
    rows = run(_list(runtime, org_id, sequence, limit))
    if json:
        print_json(rows)
    else:
        columns = ("id", "sequence", "recipient", "state", "rule", "object", "record_id")
        print_table(rows, columns, empty="no one is enrolled yet")


async def _list(
    runtime: Runtime, org_id: str | None, sequence: str | None, limit: int
) -> list[EnrollmentRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await enrollment_store.listing(
            connection, org_id=wanted, sequence=sequence, limit=limit
        )
