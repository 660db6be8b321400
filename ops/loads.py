"""Loads of an org's records as an operator starts, watches and withdraws them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import OpsError
from ops.times import iso, with_iso_times
from pipeline.objects import SObject
from pipeline.requests import (
    LOAD_ORDER,
    Cause,
    ask_for_loads,
    in_load_order,
    withdraw_loads,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncpg import Record

    from pipeline.database import Connection

_CONDITIONS: Final = "SELECT conditions::text FROM org WHERE org_id = $1"
# The newest of each object; how long it took so far counts from its first callout to its last.
_LISTING: Final = """
    SELECT DISTINCT ON (object)
           request_id AS id, org_id, object, state AS settled, cause, since, sent_count,
           total_count, created_at, began_at, heard_at, settled_at,
           extract(epoch FROM heard_at - began_at)::float AS took_s
    FROM request WHERE org_id = $1 AND kind = 'load'
    ORDER BY object, request_id DESC"""

_conditions: Final = msgspec.json.Decoder(dict[SObject, list[str]])


class LoadState(StrEnum):
    """How far a load is: not heard of yet, under way, all accepted, or no longer asked for."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    WITHDRAWN = "withdrawn"


# Those that go on by themselves.
OPEN: Final = frozenset({LoadState.WAITING, LoadState.RUNNING})


class Load(msgspec.Struct, frozen=True):
    """The newest load of an object; times are RFC 3339.

    `total_count` is what the org said when it began; None before, and records that were created
    meanwhile come on top. `records_per_s` is the average since it began, pauses included;
    `left_s` what it takes at that rate.
    """

    id: int
    org_id: str
    object: SObject
    state: LoadState
    cause: Cause
    since: str | None
    sent_count: int
    total_count: int | None
    records_per_s: float | None
    left_s: int | None
    created_at: str
    began_at: str | None
    heard_at: str | None
    settled_at: str | None


class Started(msgspec.Struct, frozen=True):
    """What was asked of an org now, and where each load of it stands, older ones as well."""

    org_id: str
    begun: list[SObject]
    loads: list[Load]


async def start(
    connection: Connection, org_id: str, objects: Collection[SObject], since: int | None
) -> Started:
    """Ask for objects' records, changed since (Unix ms) or all; by default those that rules need.

    A load that is under way and brings them goes on as it is.
    """
    wanted = objects or await synced(connection, org_id)
    begun = await ask_for_loads(connection, org_id, wanted, Cause.COMMAND, since)
    loads = await listing(connection, org_id)
    return Started(org_id, begun, [load for load in loads if load.object in wanted])


async def cancel(
    connection: Connection, org_id: str, objects: Collection[SObject]
) -> list[SObject]:
    """Ask no more for objects' records, by default for none; return those that were open.

    Raises:
        OpsError: no such load is open.
    """
    withdrawn = await withdraw_loads(connection, org_id, objects or LOAD_ORDER)
    if not withdrawn:
        what = f" of {', '.join(in_load_order(objects))}" if objects else ""
        raise OpsError(f"no load{what} is under way in org {org_id}")
    return withdrawn


async def listing(connection: Connection, org_id: str) -> list[Load]:
    """Return the newest load of each object, parents first."""
    loads = [_load(row) for row in await connection.fetch(_LISTING, org_id)]
    return sorted(loads, key=lambda load: LOAD_ORDER.index(load.object))


async def synced(connection: Connection, org_id: str) -> list[SObject]:
    """Return the objects that an org sends: those that its conditions name, or all seven."""
    conditions = _conditions.decode(await connection.fetchval(_CONDITIONS, org_id))
    return in_load_order(conditions or SObject)


def _load(row: Record) -> Load:
    values = with_iso_times(row)
    settled, took_s = values.pop("settled"), values.pop("took_s")
    state = _state(settled, is_begun=values["began_at"] is not None)
    rate = round(values["sent_count"] / took_s, 1) if took_s else None
    left = None
    if state is LoadState.RUNNING and rate and values["total_count"] is not None:
        left = round(max(0, values["total_count"] - values["sent_count"]) / rate)
    since = values.pop("since")
    return Load(
        **{
            **values,
            "object": SObject(values["object"]),
            "cause": Cause(values["cause"]),
            "since": None if since is None else iso(since),
            "state": state,
            "records_per_s": rate,
            "left_s": left,
        }
    )


def _state(settled: str, *, is_begun: bool) -> LoadState:
    if settled != "open":
        return LoadState(settled)
    return LoadState.RUNNING if is_begun else LoadState.WAITING
