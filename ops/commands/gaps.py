"""`penstock gaps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import click
import msgspec

from ops import gaps as gap_rows
from ops import orgs
from ops.commands import limit as limits
from ops.gaps import GapState
from ops.runtime import (
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    run,
)
from pipeline.objects import SObject

if TYPE_CHECKING:
    from ops.gaps import GapField, GapRow


@click.group()
def gaps() -> None:
    """Look at what is missing between the changes of records."""


@gaps.command("list")
@click.option("--org", "org_id", help="Only this org's.")
@click.option(
    "--object",
    "object_name",
    type=click.Choice([sobject.value for sobject in SObject], case_sensitive=False),
    help="Only this object's.",
)
@click.option(
    "--state", type=click.Choice([state.value for state in GapState]), help="Only in this state."
)
@limit_option
@as_json
@pass_runtime
def list_(  # noqa: PLR0913  an option each
    runtime: Runtime,
    org_id: str | None,
    object_name: str | None,
    state: str | None,
    limit: int,
    *,
    json: bool,
) -> None:
    """List gaps, the newest first: the fields that differ, and between when and when."""
    sobject = None if object_name is None else SObject(object_name)
    wanted = None if state is None else GapState(state)
    read = run(_list(runtime, org_id, sobject, wanted, limits.one_more(limit)))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
        return
    told = [_Line.of(row) for row in rows]
    columns = ("id", "org_id", "object", "record_id", "state", "fields", "after", "before")
    print_table(told, columns, empty="no gaps" if org_id is None else f"no gaps of org {org_id}")


class _Line(msgspec.Struct, frozen=True):
    """A gap on one line."""

    id: int
    org_id: str
    object: str
    record_id: str
    state: str
    fields: str
    after: str
    before: str

    @classmethod
    def of(cls, row: GapRow) -> Self:
        return cls(
            id=row.id,
            org_id=row.org_id,
            object=row.object,
            record_id=row.record_id,
            state=_state(row),
            fields=", ".join(_told(name, field) for name, field in row.fields.items()),
            after=row.stored_at,
            before=row.captured_at,
        )


def _state(row: GapRow) -> str:
    if row.error is not None:
        return f"{row.state}: {row.error}"
    return row.state if row.waits_for is None else f"{row.state}, waits for {row.waits_for}"


def _told(name: str, field: GapField) -> str:
    return f"{name}: {_value(field.stored)} → {_value(field.told)}"


def _value(value: object) -> str:
    return "empty" if value is None else str(value)


async def _list(
    runtime: Runtime,
    org_id: str | None,
    sobject: SObject | None,
    state: GapState | None,
    limit: int,
) -> list[GapRow]:
    async with runtime.database() as connection:
        wanted = None if org_id is None else await orgs.resolve(connection, org_id)
        return await gap_rows.listing(
            connection, org_id=wanted, sobject=sobject, state=state, limit=limit
        )
