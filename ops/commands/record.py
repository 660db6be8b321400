"""`penstock record`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console

from ops import records
from ops.runtime import (
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    printable,
    run,
)
from pipeline.json_text import decode_fields, mask
from pipeline.objects import SObject

if TYPE_CHECKING:
    from ops.records import RecordState


@click.group()
def record() -> None:
    """Look at one record and its history."""


@record.command()
@click.argument("org_id")
@click.argument(
    "sobject",
    metavar="OBJECT",
    type=click.Choice([sobject.value for sobject in SObject], case_sensitive=False),
)
@click.argument("record_id", metavar="ID")
@limit_option
@as_json
@pass_runtime
def show(  # noqa: PLR0913  one parameter for each argument of the command
    runtime: Runtime, org_id: str, sobject: str, record_id: str, limit: int, *, json: bool
) -> None:
    """Print a record's state now and the changes that led to it."""
    found = run(_show(runtime, org_id, SObject(sobject), record_id, limit))
    if json:
        print_json(found)
        return
    console = Console()
    console.print(f"{found.object} {found.record_id}" + (" (deleted)" if found.deleted else ""))
    for field, value in decode_fields(mask(bytes(found.fields))).items():
        line = printable(f"  {field}: {value}")
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print_table(found.changes, ("captured_at", "operation", "capture_id"), empty="no change")


async def _show(
    runtime: Runtime, org_id: str, sobject: SObject, record_id: str, limit: int
) -> RecordState:
    async with runtime.database() as connection:
        return await records.show(connection, org_id, sobject, record_id, limit=limit)
