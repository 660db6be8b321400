"""Adding, listing, rotating, pausing orgs; their time zones; what they told of themselves."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from ops.errors import OpsError, WrongUsage
from ops.times import with_iso_times
from pipeline.key_ring import KeyRing
from pipeline.objects import is_salesforce_id, long_id
from pipeline.signing import new_secret
from rules.mistakes import near_name

if TYPE_CHECKING:
    from asyncpg import Record

    from pipeline.database import Connection

PLAIN: Final = KeyRing()
CODE_VALID_HOURS: Final = 24
# Stands where ingest's address belongs, until an operator says it.
NO_PUBLIC_URL: Final = "https://YOUR-INGEST"
_USER_PREFIX: Final = "005"
_ORG_PREFIX: Final = "00D"

_ADD: Final = """
    INSERT INTO org (org_id, sync_user_id, connect_code, connect_code_expires_at, time_zone)
    VALUES ($1, $2, $3, now() + make_interval(hours => $4), $5)"""
# A first secret that no callout has used yet is the one in use.
_ROTATE: Final = """
    UPDATE org
    SET connect_code = $2, connect_code_expires_at = now() + make_interval(hours => $3),
        secret = coalesce(secret, next_secret), next_secret = NULL
    WHERE org_id = $1 RETURNING org_id"""
_PAUSE: Final = "UPDATE org SET paused = $2 WHERE org_id = $1 RETURNING org_id"
_SET_TIME_ZONE: Final = "UPDATE org SET time_zone = $2 WHERE org_id = $1 RETURNING org_id"
_LIST: Final = """
    SELECT org_id,
           CASE WHEN paused THEN 'paused'
                WHEN connected_at IS NULL THEN 'not connected'
                ELSE 'connected' END AS state,
           connected_at IS NOT NULL AS connected,
           sync_user_id, instance_url, is_sandbox,
           coalesce(heartbeat.package_version, org.package_version) AS package_version,
           conditions, org.conditions_version, connected_at, time_zone, watched,
           ARRAY(SELECT object FROM described_object
                 WHERE described_object.org_id = org.org_id ORDER BY object) AS described,
           CASE WHEN connect_code_expires_at > now()
                THEN connect_code_expires_at END AS connect_code_expires_at,
           heard_at, beat_at, api_version, clock_skew_ms, parked_count, overflow_count,
           async_used_count, async_limit_count,
           heartbeat.conditions_version AS told_conditions_version,
           every_days AS audit_every_days, next_at AS next_audit_at,
           (SELECT audit.state FROM audit
            WHERE audit.org_id = org.org_id AND audit.state <> 'done') AS open_audit
    FROM org LEFT JOIN heartbeat USING (org_id) LEFT JOIN audit_schedule USING (org_id)
    WHERE ($1::text IS NULL OR org_id = $1) AND org_id > $2
    ORDER BY org_id LIMIT $3"""
# What a heartbeat says.
_TOLD: Final = (
    "beat_at",
    "api_version",
    "clock_skew_ms",
    "parked_count",
    "overflow_count",
    "async_used_count",
    "async_limit_count",
)


class ConnectCode(msgspec.Struct, frozen=True):
    """The one-time code with which an org's Sync User connects it. Shown once, good for 24 h."""

    org_id: str
    connect_code: str

    def apex(self, public_url: str) -> str:
        """Return the line of Apex with which the org's Sync User connects it."""
        endpoint = public_url or NO_PUBLIC_URL
        return f"System.debug(Penstock.connect('{endpoint}', '{self.connect_code}'));"

    def __repr__(self) -> str:
        """Show no code."""
        return f"ConnectCode({self.org_id})"


class Heartbeat(msgspec.Struct, frozen=True):
    """What an org last told of itself, which it does every hour.

    `clock_skew_ms` is its clock less ours. Of its parked changes, `parked_count` are to be tried
    again and `overflow_count` need a person. `async_used_count` of `async_limit_count` asynchronous
    executions were used in its last 24 hours. `conditions_version` is what it goes by.
    """

    beat_at: str
    api_version: str | None
    clock_skew_ms: int | None
    parked_count: int | None
    overflow_count: int | None
    async_used_count: int | None
    async_limit_count: int | None
    conditions_version: int | None


class OrgState(msgspec.Struct, frozen=True):
    """An org as a listing shows it; times are RFC 3339.

    `state` is `paused`, `connected` or `not connected`; `connected` tells the latter two apart for
    a paused org too. `connect_code_expires_at` is there while a connect code is open. `conditions`
    are the fields whose update it is to send, by object, everything if they name no object;
    `watched` those of them that an admin added to what rules read; `described` the objects whose
    fields a description gave. `heard_at` is the last callout that was surely the org's.
    `conditions_up_to_date` is None until its first heartbeat.
    """

    org_id: str
    state: str
    connected: bool
    sync_user_id: str
    instance_url: str | None
    is_sandbox: bool | None
    package_version: str | None
    conditions: dict[str, list[str]]
    conditions_version: int
    conditions_up_to_date: bool | None
    connected_at: str | None
    connect_code_expires_at: str | None
    time_zone: str
    watched: dict[str, list[str]]
    described: list[str]
    heard_at: str | None
    heartbeat: Heartbeat | None
    audit_every_days: int | None
    next_audit_at: str | None
    open_audit: str | None


async def add(
    connection: Connection,
    org_id: str,
    sync_user_id: str,
    time_zone: str = "UTC",
    ring: KeyRing = PLAIN,
) -> ConnectCode:
    """Register an org and the user whose handshake connects it.

    Raises:
        WrongUsage: not ids of an org and a user, or no time zone.
        OpsError: the org is registered already.
    """
    org_id = _checked_id(org_id, _ORG_PREFIX, "an org")
    code = ConnectCode(org_id, new_secret())
    sync_user_id = _checked_id(sync_user_id, _USER_PREFIX, "a user")
    time_zone = _checked_zone(time_zone)
    try:
        await connection.execute(
            _ADD,
            org_id,
            sync_user_id,
            ring.seal(org_id, code.connect_code),
            CODE_VALID_HOURS,
            time_zone,
        )
    except asyncpg.UniqueViolationError:
        raise OpsError(
            f"org {org_id} is registered already: `penstock org rotate {org_id}` prints a new code"
        ) from None
    return code


async def rotate(connection: Connection, org_id: str, ring: KeyRing = PLAIN) -> ConnectCode:
    """Open a new connect code; the secret in use stays good until the next one is first used.

    Raises:
        OpsError: the org is not registered.
    """
    code = ConnectCode(long_id(org_id), new_secret())
    stored = ring.seal(code.org_id, code.connect_code)
    found = await connection.fetchval(_ROTATE, code.org_id, stored, CODE_VALID_HOURS)
    _require(found, org_id)
    return code


async def set_paused(connection: Connection, org_id: str, *, paused: bool) -> None:
    """Refuse an org's callouts (403, so that it parks them), or take them in again.

    Raises:
        OpsError: the org is not registered.
    """
    _require(await connection.fetchval(_PAUSE, long_id(org_id), paused), org_id)


async def set_time_zone(connection: Connection, org_id: str, time_zone: str) -> None:
    """Let dates in the org's rules count in a time zone (`Europe/Berlin`), at once.

    Raises:
        WrongUsage: there is no such time zone.
        OpsError: the org is not registered.
    """
    zone = _checked_zone(time_zone)
    _require(await connection.fetchval(_SET_TIME_ZONE, long_id(org_id), zone), org_id)


async def listing(
    connection: Connection,
    org_id: str | None = None,
    *,
    after: str = "",
    limit: int | None = None,
) -> list[OrgState]:
    """Return every org by id, or one of them; or `limit` of those that come `after` an id."""
    return [_state(row) for row in await connection.fetch(_LIST, org_id, after, limit)]


async def resolve(connection: Connection, org_id: str | None) -> str:
    """Return the id of the org that is meant; it may be left out while there is one only.

    Raises:
        OpsError: the org is not registered, or there is none.
        WrongUsage: none is named and there are several.
    """
    known = [row["org_id"] for row in await connection.fetch("SELECT org_id FROM org LIMIT 1000")]
    if org_id is not None:
        found = await connection.fetchval(
            "SELECT org_id FROM org WHERE org_id = $1", long_id(org_id)
        )
        _require(found, org_id)
        return long_id(org_id)
    if not known:
        raise OpsError("no org is registered yet: add one with `penstock org add`")
    if len(known) > 1:
        raise WrongUsage(f"{len(known)} orgs are registered: say which with --org ORG_ID")
    return str(known[0])


def _state(row: Record) -> OrgState:
    values = with_iso_times(row)
    told = {name: values.pop(name) for name in _TOLD}
    version = values.pop("told_conditions_version")
    has_told = told["beat_at"] is not None
    return OrgState(
        **{
            **values,
            "watched": msgspec.json.decode(row["watched"]),
            "conditions": msgspec.json.decode(row["conditions"]),
            "conditions_up_to_date": version == row["conditions_version"] if has_told else None,
            "heartbeat": Heartbeat(**told, conditions_version=version) if has_told else None,
        }
    )


def _checked_id(text: str, prefix: str, what: str) -> str:
    if not is_salesforce_id(text) or not text.startswith(prefix):
        raise WrongUsage(f"{text!r} is not the id of {what} (15 or 18 characters, {prefix}…)")
    return long_id(text)


def _checked_zone(name: str) -> str:
    known = zoneinfo.available_timezones()
    if name not in known:
        near = near_name(name, known) or "; names are such as 'Europe/Berlin'"
        raise WrongUsage(f"unknown time zone '{name}'{near}")
    return name


def _require(found: object, org_id: str) -> None:
    if found is None:
        raise OpsError(f"org {org_id} is not registered: `penstock org list` shows which are")
