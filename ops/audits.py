"""Audits of an org as an operator starts, lets go on, cancels and schedules them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops import audit_report, loads
from ops.errors import OpsError
from ops.times import with_iso_times
from pipeline.objects import SObject
from pipeline.requests import (
    LOAD_ORDER,
    AuditOpenError,
    StartedBy,
    begin_audit,
    in_load_order,
    loading,
    withdraw_audit,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncpg import Record

    from ops.audit_report import Audit
    from pipeline.database import Connection

_LOCK_OPEN: Final = """
    SELECT audit_id FROM audit WHERE org_id = $1 AND state <> 'done' FOR NO KEY UPDATE"""
_ALLOW: Final = """
    UPDATE audit_object SET absent_allowed = true, state = 'comparing'
    WHERE audit_id = $1 AND state = 'stopped' AND object = ANY($2::text[])
    RETURNING object"""
_GO_ON: Final = """
    UPDATE audit SET state = 'running'
    WHERE audit_id = $1 AND NOT EXISTS (
        SELECT FROM audit_object WHERE audit_id = $1 AND state = 'stopped')"""
_CANCEL: Final = """
    UPDATE audit SET state = 'done', settled_at = clock_timestamp() WHERE audit_id = $1"""
_SCHEDULE: Final = """
    INSERT INTO audit_schedule (org_id, every_days, next_at)
    VALUES ($1, $2, now() + make_interval(days => $2))
    ON CONFLICT (org_id) DO UPDATE
    SET every_days = excluded.every_days, next_at = excluded.next_at
    RETURNING every_days, next_at"""
_READ_SCHEDULE: Final = "SELECT every_days, next_at FROM audit_schedule WHERE org_id = $1"
_UNSCHEDULE: Final = "DELETE FROM audit_schedule WHERE org_id = $1"


class Schedule(msgspec.Struct, frozen=True):
    """How often an org is audited; None is not by itself."""

    org_id: str
    every_days: int | None
    next_at: str | None


async def start(connection: Connection, org_id: str, objects: Collection[SObject]) -> Audit:
    """Begin to compare objects, by default all that the org sends.

    What is still being loaded is left out, unless it is asked for.

    Raises:
        OpsError: one is under way, or what is asked for is being loaded.
    """
    incomplete = await loading(connection, org_id)
    wanted = set(objects) or set(await loads.synced(connection, org_id)) - incomplete
    if not wanted or wanted & incomplete:
        what = ", ".join(in_load_order(wanted & incomplete or incomplete))
        raise OpsError(
            f"{what} of org {org_id}: still being loaded, and what has not come yet would be"
            f" asked for twice: `penstock org loads {org_id}`"
        )
    try:
        await begin_audit(connection, org_id, wanted, StartedBy.COMMAND)
    except AuditOpenError:
        raise OpsError(
            f"an audit of org {org_id} is under way: `penstock audit show {org_id}` says how far it"
            f" is, `penstock audit cancel {org_id}` ends it"
        ) from None
    (audit,) = await audit_report.listing(connection, org_id, limit=1)
    return audit


async def allow(connection: Connection, org_id: str, objects: Collection[SObject]) -> list[SObject]:
    """Let a stopped audit ask for what is absent, and go on; return the objects that it is for.

    Raises:
        OpsError: nothing is stopped, or none of these objects.
    """
    async with connection.transaction():
        audit_id = await _open(connection, org_id)
        rows = await connection.fetch(_ALLOW, audit_id, list(objects or LOAD_ORDER))
        if not rows:
            what = f" with {', '.join(objects)}" if objects else ""
            raise OpsError(
                f"the audit of org {org_id} is not stopped{what}: `penstock audit show {org_id}`"
                " says how far it is"
            )
        await connection.execute(_GO_ON, audit_id)
    return [SObject(row["object"]) for row in rows]


async def cancel(connection: Connection, org_id: str) -> int:
    """End the audit that is under way, with what it asked for; return its id. What is healed stays.

    Raises:
        OpsError: none is under way.
    """
    async with connection.transaction():
        audit_id = await _open(connection, org_id)
        await connection.execute(_CANCEL, audit_id)
        await withdraw_audit(connection, org_id, audit_id)
    return audit_id


async def set_schedule(connection: Connection, org_id: str, every_days: int | None) -> Schedule:
    """Audit an org every so many days, from so many days on; or no longer by itself, for None."""
    if every_days is None:
        await connection.execute(_UNSCHEDULE, org_id)
        return Schedule(org_id, None, None)
    return _schedule(org_id, await connection.fetchrow(_SCHEDULE, org_id, every_days))


async def schedule(connection: Connection, org_id: str) -> Schedule:
    """Return how often an org is audited."""
    return _schedule(org_id, await connection.fetchrow(_READ_SCHEDULE, org_id))


def _schedule(org_id: str, row: Record | None) -> Schedule:
    return Schedule(org_id, None, None) if row is None else Schedule(org_id, **with_iso_times(row))


async def _open(connection: Connection, org_id: str) -> int:
    audit_id: int | None = await connection.fetchval(_LOCK_OPEN, org_id)
    if audit_id is None:
        raise OpsError(
            f"no audit of org {org_id} is under way: `penstock audit {org_id}` starts one"
        )
    return audit_id
