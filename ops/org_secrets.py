"""Orgs' secrets at rest: encrypted under the newest key, one org after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import OpsError
from pipeline.key_ring import CannotOpen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncpg import Record

    from pipeline.database import Connection
    from pipeline.key_ring import KeyRing

_COLUMNS: Final = ("connect_code", "secret", "next_secret")
_READ_IDS: Final = "SELECT org_id FROM org ORDER BY org_id"
_LOCK: Final = """
    SELECT connect_code, secret, next_secret FROM org WHERE org_id = $1 FOR UPDATE"""
_WRITE: Final = """
    UPDATE org SET connect_code = $2, secret = $3, next_secret = $4 WHERE org_id = $1"""
_READ: Final = "SELECT org_id, connect_code, secret, next_secret FROM org"


class Rotated(msgspec.Struct, frozen=True):
    """How many orgs' secrets were encrypted anew, and how many were as they should be."""

    encrypted_count: int
    current_count: int


class AtRest(msgspec.Struct, frozen=True):
    """How orgs' secrets are stored: orgs to be encrypted (anew), and those no key here opens."""

    stale_count: int
    unreadable: list[str]


async def rotate(connection: Connection, ring: KeyRing) -> Rotated:
    """Encrypt every org's secrets under the newest key. Each org is locked for its own step only.

    Broken off, it goes on where it stopped when it is run again.

    Raises:
        OpsError: a secret cannot be opened; names the org. Those before it are done.
    """
    encrypted_count = current_count = 0
    for row in await connection.fetch(_READ_IDS):
        async with connection.transaction():
            stored = await connection.fetchrow(_LOCK, row["org_id"])
            if stored is None:
                continue
            if all(ring.is_current(text) for text in _texts(stored)):
                current_count += 1
                continue
            try:
                sealed = [_sealed(ring, row["org_id"], stored[name]) for name in _COLUMNS]
            except CannotOpen as error:
                raise OpsError(
                    f"org {row['org_id']}: {error}. Put the key back, or `penstock org rotate`"
                ) from error
            await connection.execute(_WRITE, row["org_id"], *sealed)
            encrypted_count += 1
    return Rotated(encrypted_count, current_count)


async def at_rest(connection: Connection, ring: KeyRing) -> AtRest:
    """Tell how orgs' secrets are stored."""
    stale_count, unreadable = 0, []
    for row in await connection.fetch(_READ):
        stale_count += not all(ring.is_current(text) for text in _texts(row))
        try:
            for text in _texts(row):
                ring.open(row["org_id"], text)
        except CannotOpen:
            unreadable.append(row["org_id"])
    return AtRest(stale_count, unreadable)


def _texts(row: Record) -> Iterator[str]:
    return (row[name] for name in _COLUMNS if row[name] is not None)


def _sealed(ring: KeyRing, org_id: str, stored: str | None) -> str | None:
    if stored is None or ring.is_current(stored):
        return stored
    return ring.seal(org_id, ring.open(org_id, stored))
