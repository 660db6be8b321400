"""The orgs, held in memory: told of changes by LISTEN, read again on reconnect and every 30 s.

A database outage leaves the orgs that are known working. An org that is not known while the
registry is stale may exist, so it is answered 503, not 403.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from pipeline import metrics
from pipeline.database import Following
from pipeline.key_ring import CannotOpen, KeyRing
from pipeline.signing import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from pipeline.database import Connection
    from pipeline.database.following import Read
    from pipeline.settings import Secret

log = structlog.get_logger()

PAGE_COUNT: Final = 500
_NAME: Final = "penstock ingest registry"
_READ_ORGS: Final = """
    SELECT org_id, sync_user_id, secret, next_secret, connect_code,
           extract(epoch FROM connect_code_expires_at)::float8 AS connect_code_expires_s,
           paused, conditions, conditions_version
    FROM org"""
_READ_ORG: Final = f"{_READ_ORGS} WHERE org_id = $1"

_SECRETS: Final = ("secret", "next_secret", "connect_code")


class Org(msgspec.Struct, frozen=True):
    """What ingest needs to know of an org. `keys` are the HMAC keys of its live secrets.

    `stored_code` and `stored_next` are its code and next secret as its row has them, encrypted.
    `unreadable` says why one of these cannot be read, if one cannot.
    """

    org_id: str
    sync_user_id: str
    secret: str | None
    next_secret: str | None
    connect_code: str | None
    connect_code_expires_s: float | None
    paused: bool
    conditions: msgspec.Raw
    conditions_version: int
    keys: tuple[bytes, ...]
    stored_code: str | None = None
    stored_next: str | None = None
    unreadable: str | None = None

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Org({self.org_id})"

    @property
    def connected(self) -> bool:
        """A handshake has given this org a secret."""
        return bool(self.keys)


class Registry:
    """All orgs, as fresh as the database allows; `also` is followed on the same connection."""

    def __init__(
        self,
        database_url: Secret,
        also: Mapping[str, Read] | None = None,
        ring: KeyRing | None = None,
    ) -> None:
        self.ring = ring or KeyRing()
        self._following = Following(
            database_url, _NAME, {"penstock_org": self.read, **(also or {})}
        )
        self._orgs: Mapping[str, Org] = {}
        self._reading = asyncio.Lock()
        self._read_at: float | None = None

    @property
    def stale(self) -> bool:
        """Whether an org could exist that is not known here."""
        return not self._following.is_listening

    def problem(self) -> str | None:
        """Say why no org can be served, or None. A stale registry still serves."""
        if self._read_at is not None:
            return None
        why = self._following.failure
        return "the org registry " + (f"cannot be read: {why}" if why else "was never read")

    def get(self, org_id: str) -> Org | None:
        """Return the org, or None if it is not known."""
        return self._orgs.get(org_id)

    def promote(self, org: Org) -> None:
        """Take the org's next secret for its only one, ahead of the database.

        Nothing else of `org` counts: it may have been paused or rotated while its request was read.
        """
        known = self._orgs.get(org.org_id)
        if known is None or known.next_secret is None or known.next_secret != org.next_secret:
            return
        promoted = msgspec.structs.replace(
            known,
            secret=known.next_secret,
            next_secret=None,
            connect_code=None,
            keys=(key_of(known.next_secret),),
        )
        self._orgs = {**self._orgs, org.org_id: promoted}

    async def read(self, connection: Connection) -> None:
        """Read every org."""
        # One at a time: an older reading must not come in after a newer one.
        async with self._reading:
            orgs: dict[str, Org] = {}
            # A page at a time: nobody is answered while one is taken in, and no statement may take
            # longer than connecting may.
            async with connection.transaction(readonly=True):
                async for row in connection.cursor(_READ_ORGS, prefetch=PAGE_COUNT):
                    orgs[row["org_id"]] = _org(row, self.ring)
            self._orgs = orgs
            self._read_at = time.monotonic()

    async def read_one(self, connection: Connection, org_id: str) -> None:
        """Read one org that is known, ahead of the notification.

        It waits, with its connection, for a reading of all that is under way.
        """
        async with self._reading:
            row = await connection.fetchrow(_READ_ORG, org_id)
            orgs = dict(self._orgs)
            if row is None:
                orgs.pop(org_id, None)
            else:
                orgs[org_id] = _org(row, self.ring)
            self._orgs = orgs

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the table until `stop`."""
        metrics.registry_age_seconds.set_function(self._age_s)
        await self._following.run(stop)

    def _age_s(self) -> float:
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at


def _org(row: asyncpg.Record, ring: KeyRing) -> Org:
    opened: dict[str, str | None] = dict.fromkeys(_SECRETS)
    unreadable = None
    for name in _SECRETS:
        try:
            opened[name] = None if row[name] is None else ring.open(row["org_id"], row[name])
        except CannotOpen as error:
            # What else it has, a newer connect code say, is good, and the other orgs are served.
            log.error("org_secrets_unreadable", org_id=row["org_id"], why=str(error))  # noqa: TRY400  no traceback helps
            unreadable = str(error)
    live = (opened["secret"], opened["next_secret"])
    return Org(
        org_id=row["org_id"],
        sync_user_id=row["sync_user_id"],
        secret=opened["secret"],
        next_secret=opened["next_secret"],
        connect_code=opened["connect_code"],
        connect_code_expires_s=row["connect_code_expires_s"],
        paused=row["paused"],
        conditions=msgspec.Raw(row["conditions"].encode()),
        conditions_version=row["conditions_version"],
        keys=tuple(key_of(secret) for secret in live if secret is not None),
        stored_code=row["connect_code"],
        stored_next=row["next_secret"],
        unreadable=unreadable,
    )
