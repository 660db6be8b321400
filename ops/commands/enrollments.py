"""`penstock enrollments`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
from rich.markup import escape

from ops import enrollments as enrollment_store
from ops import orgs
from ops.commands import limit as limits
from ops.runtime import Runtime, as_json, limit_option, pass_runtime, print_json, print_table, run

if TYPE_CHECKING:
    from ops.enrollments import EnrollmentRow

COLUMNS: Final = (
    "id",
    "org_id",
    "sequence",
    "recipient",
    "state",
    "rule",
    "object",
    "record_id",
    "enrolled_at",
)


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
    read = run(_list(runtime, org_id, sequence, limits.one_more(limit)))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        print_table(rows, COLUMNS, empty=escape(_nobody(org_id, sequence)))


def _nobody(org_id: str | None, sequence: str | None) -> str:
    if org_id is None and sequence is None:
        return "no one is enrolled yet"
    where = "enrolled" if sequence is None else f"in sequence {sequence!r}"
    return f"nobody is {where}" + ("" if org_id is None else f" by org {org_id}")


async def _list(
    runtime: Runtime, org_id: str | None, sequence: str | None, limit: int
) -> list[EnrollmentRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await enrollment_store.listing(
            connection, org_id=wanted, sequence=sequence, limit=limit
        )
