"""The loads that new conditions need: of what an org did not tell before and is to tell now.

Conditions name, by object, the fields whose update is sent. Those that name no object let an org
send everything; an object with an empty list is sent whatever changed in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.objects import SObject
from pipeline.requests import Cause, ask_for_loads, in_load_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.database import Connection

_READ: Final = """
    SELECT conditions::text, conditions_version,
           connected_at IS NOT NULL AS connected
    FROM org WHERE org_id = $1"""
_WHOLE_LOADS: Final = """
    SELECT DISTINCT object FROM request
    WHERE org_id = $1 AND kind = 'load' AND since IS NULL AND state IN ('open', 'done')"""
_FIRST_VERSION: Final = 1

_conditions: Final = msgspec.json.Decoder(dict[SObject, list[str]])


class NeededLoad(msgspec.Struct, frozen=True):
    """A load of an object; its `fields` are newly watched, or none if all of it is newly needed."""

    object: SObject
    cause: Cause
    fields: list[str]


async def needed(
    connection: Connection, org_id: str, after: Mapping[SObject, Sequence[str]]
) -> list[NeededLoad]:
    """Return the loads that conditions need when they take the place of the org's own.

    None while the org is not connected: its first handshake asks for all that it needs.
    """
    row = await connection.fetchrow(_READ, org_id)
    if row is None or not row["connected"]:
        return []
    before = _conditions.decode(row["conditions"])
    loads = newly_needed(before, after)
    if before or row["conditions_version"] != _FIRST_VERSION:
        return loads
    # It has told of everything ever since: what was loaded whole, or is being loaded, is right.
    loaded = {row["object"] for row in await connection.fetch(_WHOLE_LOADS, org_id)}
    return [load for load in loads if load.object not in loaded]


async def begin(connection: Connection, org_id: str, loads: Iterable[NeededLoad]) -> None:
    """Ask the org for what is needed, in the transaction that writes the conditions."""
    for load in loads:
        await ask_for_loads(connection, org_id, [load.object], load.cause)


def newly_needed(
    before: Mapping[SObject, Sequence[str]], after: Mapping[SObject, Sequence[str]]
) -> list[NeededLoad]:
    """Return what conditions ask for that was not asked for before, parents first.

    The first conditions need all that they name: until then no rule read anything, and what nobody
    has touched is not there.
    """
    loads = []
    for sobject in in_load_order(after):
        if sobject not in before:
            loads.append(NeededLoad(sobject, Cause.SYNCED, []))
        elif fields := _newly_watched(before[sobject], after[sobject]):
            loads.append(NeededLoad(sobject, Cause.WATCHED, fields))
    return loads


def _newly_watched(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the fields that are newly watched, `*` being all; no fields stand for all, too."""
    if not before:
        return []
    known = {name.casefold() for name in before}
    return [name for name in after if name.casefold() not in known] if after else ["*"]
