"""`penstock actions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click
import msgspec

from ops import actions as trail
from ops.actions import Action
from ops.commands import limit as limits
from ops.runtime import (
    Runtime,
    as_json,
    limit_option,
    pass_runtime,
    print_json,
    print_table,
    run,
)

if TYPE_CHECKING:
    from ops.actions import ActionRow

_COLUMNS: Final = ("acted_at", "actor", "action", "parameters", "run_id", "outcome")


class _ActionLine(msgspec.Struct, frozen=True):
    acted_at: str
    actor: str
    action: str
    parameters: str
    run_id: int | None
    outcome: str


@click.command()
@click.option("--actor", help="Only what this one did: user@host, or a token's name.")
@click.option("--action", type=click.Choice([one.value for one in Action]), help="Only this.")
@limit_option
@as_json
@pass_runtime
def actions(
    runtime: Runtime, actor: str | None, action: str | None, limit: int, *, json: bool
) -> None:
    """List what operators did, newest first."""
    wanted = None if action is None else Action(action)
    read = run(_list(runtime, limits.one_more(limit), actor, wanted))
    rows = limits.first(read, limit)
    if json:
        print_json(rows)
    else:
        print_table([_line(row) for row in rows], _COLUMNS, empty="nobody has done anything yet")


def _line(row: ActionRow) -> _ActionLine:
    parameters = msgspec.json.encode(row.parameters).decode() if row.parameters else ""
    return _ActionLine(row.acted_at, row.actor, row.action, parameters, row.run_id, row.outcome)


async def _list(
    runtime: Runtime, limit: int, actor: str | None, action: Action | None
) -> list[ActionRow]:
    async with runtime.database() as connection:
        return await trail.listing(connection, limit=limit, actor=actor, action=action)
