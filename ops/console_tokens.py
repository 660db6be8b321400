"""The named tokens with which people sign in to the console, each in one of two roles."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec

from ops.errors import OpsError, WrongUsage
from ops.times import with_iso_times

if TYPE_CHECKING:
    from pipeline.database import Connection

_PREFIX: Final = "pcon"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_TOKEN: Final = re.compile(rf"{_PREFIX}_([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})")

_ADD: Final = "INSERT INTO console_token (token_id, name, role, hash) VALUES ($1, $2, $3, $4)"
_LIST: Final = """
    SELECT name, role, added_at FROM console_token WHERE revoked_at IS NULL ORDER BY name"""
_REVOKE: Final = """
    UPDATE console_token SET revoked_at = clock_timestamp()
    WHERE name = $1 AND revoked_at IS NULL RETURNING token_id"""
_READ: Final = """
    SELECT name, role, hash FROM console_token WHERE token_id = $1 AND revoked_at IS NULL"""


class Role(StrEnum):
    """What a token's owner may do: look, or change things as well."""

    VIEW = "view"
    OPERATE = "operate"


class TokenRow(msgspec.Struct, frozen=True):
    """A token that is good; `added_at` is RFC 3339."""

    name: str
    role: Role
    added_at: str


class NewToken(msgspec.Struct, frozen=True):
    """A token as it is shown, once."""

    name: str
    role: Role
    token: str

    def __repr__(self) -> str:
        """Show no token."""
        return f"NewToken({self.name})"


class Owner(msgspec.Struct, frozen=True):
    """Whose token it is; `token_id` is no secret."""

    token_id: str
    name: str
    role: Role


async def add(connection: Connection, name: str, role: Role) -> NewToken:
    """Make a token; only its hash is kept. It has 256 random bits, so that a plain hash will do.

    Raises:
        WrongUsage: the name is not one that listings can show.
        OpsError: the name has a token.
    """
    if not _NAME.fullmatch(name):
        raise WrongUsage(
            f"{name!r} is no name for a token: at most 64 letters, digits, spaces and . _ @ -"
        )
    token_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    try:
        await connection.execute(_ADD, token_id, name, role.value, _hash(secret))
    except asyncpg.UniqueViolationError:
        raise OpsError(
            f"{name!r} has a token: `penstock console token revoke {name!r}` ends it"
        ) from None
    return NewToken(name, role, f"{_PREFIX}_{token_id}_{secret}")


async def renew(connection: Connection, name: str, role: Role) -> NewToken:
    """Make a token in the place of the one that the name may have."""
    async with connection.transaction():
        await connection.fetchval(_REVOKE, name)
        return await add(connection, name, role)


async def listing(connection: Connection) -> list[TokenRow]:
    """Return the tokens that are good, by name."""
    rows = await connection.fetch(_LIST)
    return [TokenRow(**{**with_iso_times(row), "role": Role(row["role"])}) for row in rows]


async def revoke(connection: Connection, name: str) -> None:
    """End a token, and every session that was begun with it.

    Raises:
        OpsError: the name has no token.
    """
    if await connection.fetchval(_REVOKE, name) is None:
        raise OpsError(f"{name!r} has no token: `penstock console token list` shows who has")


async def owner_of(connection: Connection, token: str) -> Owner | None:
    """Return whose token a text is; None if nobody's. It is compared in constant time."""
    match = _TOKEN.fullmatch(token.strip())
    if match is None:
        return None
    row = await connection.fetchrow(_READ, match[1])
    if row is None or not hmac.compare_digest(row["hash"], _hash(match[2])):
        return None
    return Owner(match[1], row["name"], Role(row["role"]))


async def standing(connection: Connection, token_id: str) -> Owner | None:
    """Return whose token it is if it is still good."""
    row = await connection.fetchrow(_READ, token_id)
    return None if row is None else Owner(token_id, row["name"], Role(row["role"]))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
