"""`penstock record`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console

from ops import orgs, records
from ops.commands import limit as limits
from ops.runtime import (
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    printable,
    run,
)
from ops.times import iso
from pipeline.json_text import decode_fields, mask
from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.records import RecordState
    from pipeline.change import Value


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
    read = run(_show(runtime, org_id, SObject(sobject), record_id, limits.one_more(limit)))
    found = msgspec.structs.replace(read, changes=limits.last(read.changes, limit))
    if json:
        print_json(found)
        return
    console = Console()
    for line in _lines(found):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _lines(found: RecordState) -> Iterator[str]:
    yield f"{found.object} {found.record_id}" + (" (deleted)" if found.deleted else "")
    for field, value in decode_fields(mask(bytes(found.fields))).items():
        yield f"  {field}: {_shown(value)}"
    for change in found.changes:
        yield f"{iso(change.captured_at)} {change.operation} (capture {change.capture_id})"
        for field, old, new in records.changed_fields(change):
            yield f"  {field}: {_shown(old)} → {_shown(new)}"


def _shown(value: Value) -> str:
    match value:
        case None | "":
            return "(empty)"
        case bool():
            return str(value).lower()
        case _:
            return str(value)


async def _show(
    runtime: Runtime, org_id: str, sobject: SObject, record_id: str, limit: int
) -> RecordState:
    async with runtime.database() as connection:
        org_id = await orgs.resolve(connection, org_id)
        return await records.show(connection, org_id, sobject, record_id, limit=limit)
