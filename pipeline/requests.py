"""What an org is asked to send: loads, audits, records once more. Creating and withdrawing of it.

An org learns of it in the answer to its next heartbeat or page. Whoever begins a load or an audit
holds the org's row locked, so that two never decide about one org at once; then come `audit`,
`audit_object`, `request`, in this order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from pipeline.objects import SObject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.database import Connection


class Kind(StrEnum):
    """What an org is asked for: an object's records, some of them, or when each last changed."""

    LOAD = "load"
    RESEND = "resend"
    AUDIT = "audit"


class Cause(StrEnum):
    """Why it is asked: an operator, a first handshake, new conditions, or an audit."""

    COMMAND = "command"
    CONNECTED = "connected"
    SYNCED = "synced"
    WATCHED = "watched"
    AUDIT = "audit"


class StartedBy(StrEnum):
    """Who started an audit."""

    COMMAND = "command"
    SCHEDULE = "schedule"


class AuditOpenError(Exception):
    """The org has an audit that is not done, and there is one at a time."""


# Parents come before what looks them up, so that less has to wait for a parent.
LOAD_ORDER: Final = (
    SObject.USER,
    SObject.ACCOUNT,
    SObject.CONTACT,
    SObject.LEAD,
    SObject.OPPORTUNITY,
    SObject.TASK,
    SObject.EVENT,
)

_LOCK_ORG: Final = "SELECT FROM org WHERE org_id = $1 FOR NO KEY UPDATE"
_OPEN_LOADS: Final = """
    SELECT object, since FROM request
    WHERE org_id = $1 AND kind = 'load' AND state = 'open' AND object = ANY($2)"""
_WITHDRAW_LOADS: Final = """
    UPDATE request SET state = 'withdrawn', settled_at = clock_timestamp()
    WHERE org_id = $1 AND kind = 'load' AND state = 'open' AND object = ANY($2)
    RETURNING object"""
_ASK_FOR_LOADS: Final = """
    INSERT INTO request (org_id, kind, object, since, cause)
    SELECT $1, 'load', asked.object, asked.since, $4
    FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS asked (object, since, place)
    ORDER BY asked.place
    ON CONFLICT (org_id, object, kind) WHERE state = 'open' AND kind <> 'resend' DO NOTHING
    RETURNING object"""
_BEGIN_AUDIT: Final = """
    INSERT INTO audit (org_id, started_by) VALUES ($1, $2)
    ON CONFLICT (org_id) WHERE state <> 'done' DO NOTHING
    RETURNING audit_id"""
# Audits of before are over, whether the org has said so or not.
_WITHDRAW_WALKS: Final = """
    UPDATE request SET state = 'withdrawn', settled_at = clock_timestamp()
    WHERE org_id = $1 AND kind = 'audit' AND state = 'open'"""
_BEGIN_OBJECTS: Final = """
    INSERT INTO audit_object (audit_id, object) SELECT $1, unnest($2::text[])"""
_ASK_FOR_AUDIT: Final = """
    INSERT INTO request (org_id, kind, object, audit_id, cause)
    SELECT $1, 'audit', asked.object, $2::bigint, 'audit'
    FROM unnest($3::text[]) WITH ORDINALITY AS asked (object, place) ORDER BY asked.place"""
_WITHDRAW_OF_AUDIT: Final = """
    UPDATE request SET state = 'withdrawn', settled_at = clock_timestamp()
    WHERE org_id = $1 AND audit_id = $2 AND state = 'open'"""


async def ask_for_loads(
    connection: Connection,
    org_id: str,
    objects: Iterable[SObject],
    cause: Cause,
    since: int | None = None,
) -> list[SObject]:
    """Ask an org for the records of objects, changed since (Unix ms) or all; return those begun.

    A load that is open already is left as it is while it brings all that is wanted. Where it does
    not, another takes its place, from the beginning: where it goes back less far, and where the
    org did not tell of changes that count from now on, since what it has passed may be of before
    (a job that has its id would hear nothing of a cursor that is set back).
    """
    wanted = in_load_order(objects)
    async with connection.transaction():
        await connection.execute(_LOCK_ORG, org_id)
        found = await connection.fetch(_OPEN_LOADS, org_id, wanted)
        under_way = {SObject(row["object"]): row["since"] for row in found}
        begun: dict[SObject, int | None] = {}
        for sobject in wanted:
            if sobject not in under_way:
                begun[sobject] = since
            elif not _covers(under_way[sobject], since, cause):
                begun[sobject] = _earlier(under_way[sobject], since)
        await connection.fetch(_WITHDRAW_LOADS, org_id, list(begun))
        rows = await connection.fetch(
            _ASK_FOR_LOADS, org_id, list(begun), list(begun.values()), cause
        )
    return [SObject(row["object"]) for row in rows]


async def withdraw_loads(
    connection: Connection, org_id: str, objects: Iterable[SObject]
) -> list[SObject]:
    """Ask no more for loads of objects; return those that were open. What came of them stays."""
    rows = await connection.fetch(_WITHDRAW_LOADS, org_id, list(objects))
    return in_load_order(SObject(row["object"]) for row in rows)


async def loading(connection: Connection, org_id: str) -> set[SObject]:
    """Return the objects whose load is not done: an audit would ask for all that it brings."""
    found = await connection.fetch(_OPEN_LOADS, org_id, list(SObject))
    return {SObject(row["object"]) for row in found}


async def begin_audit(
    connection: Connection, org_id: str, objects: Iterable[SObject], started_by: StartedBy
) -> int:
    """Begin to compare what is stored of objects with what the org has; return the audit's id.

    Raises:
        AuditOpenError: one of the org is not done.
    """
    wanted = in_load_order(objects)
    async with connection.transaction():
        await connection.execute(_LOCK_ORG, org_id)
        audit_id: int | None = await connection.fetchval(_BEGIN_AUDIT, org_id, started_by)
        if audit_id is None:
            raise AuditOpenError(org_id)
        await connection.execute(_WITHDRAW_WALKS, org_id)
        await connection.execute(_BEGIN_OBJECTS, audit_id, wanted)
        await connection.execute(_ASK_FOR_AUDIT, org_id, audit_id, wanted)
    return audit_id


async def withdraw_audit(connection: Connection, org_id: str, audit_id: int) -> None:
    """Ask no more for what belongs to an audit: neither for its ranges nor for its findings."""
    await connection.execute(_WITHDRAW_OF_AUDIT, org_id, audit_id)


def in_load_order(objects: Iterable[SObject]) -> list[SObject]:
    """Return each of the objects once, parents before those that look them up."""
    wanted: Collection[SObject] = set(objects)
    return [sobject for sobject in LOAD_ORDER if sobject in wanted]


def _covers(open_since: int | None, since: int | None, cause: Cause) -> bool:
    match cause:
        case Cause.SYNCED | Cause.WATCHED:
            return False
        case Cause.COMMAND | Cause.CONNECTED | Cause.AUDIT:
            return open_since is None or (since is not None and open_since <= since)
        case _:
            assert_never(cause)


def _earlier(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)
