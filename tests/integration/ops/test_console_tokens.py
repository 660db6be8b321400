"""Tokens: shown once, kept as a hash, ended at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import console_tokens
from ops.console_tokens import Role
from ops.errors import OpsError, WrongUsage

if TYPE_CHECKING:
    from pipeline.database import Connection


async def test_a_token_signs_its_owner_in_until_it_is_revoked(connection: Connection) -> None:
    ada = await console_tokens.add(connection, "ada@example.com", Role.OPERATE)
    ben = await console_tokens.add(connection, "ben", Role.VIEW)
    owner = await console_tokens.owner_of(connection, f" {ada.token}\n")
    assert owner is not None
    assert (owner.name, owner.role) == ("ada@example.com", Role.OPERATE)
    assert await console_tokens.standing(connection, owner.token_id) == owner
    listed = await console_tokens.listing(connection)
    assert [(one.name, one.role) for one in listed] == [
        ("ada@example.com", Role.OPERATE),
        ("ben", Role.VIEW),
    ]

    await console_tokens.revoke(connection, "ada@example.com")
    assert await console_tokens.owner_of(connection, ada.token) is None
    assert await console_tokens.standing(connection, owner.token_id) is None
    assert await console_tokens.owner_of(connection, ben.token) is not None
    with pytest.raises(OpsError, match="has no token"):
        await console_tokens.revoke(connection, "ada@example.com")


async def test_only_a_hash_is_kept(connection: Connection) -> None:
    added = await console_tokens.add(connection, "ada", Role.VIEW)
    secret = added.token.rpartition("_")[2]
    row = await connection.fetchval("SELECT console_token::text FROM console_token")
    assert secret not in row
    assert added.token not in repr(added)


async def test_what_only_looks_like_a_token_is_nobodys(connection: Connection) -> None:
    added = await console_tokens.add(connection, "ada", Role.VIEW)
    other = await console_tokens.add(connection, "ben", Role.VIEW)
    mixed = added.token[:22] + other.token[22:]
    for text in (
        "",
        "x",
        added.token[:-1],
        f"{added.token}A",
        added.token.upper(),
        mixed,
        "pcon__",
    ):
        assert await console_tokens.owner_of(connection, text) is None


async def test_a_name_has_one_token_which_renewing_replaces(connection: Connection) -> None:
    first = await console_tokens.add(connection, "ada", Role.VIEW)
    with pytest.raises(OpsError, match="has a token"):
        await console_tokens.add(connection, "ada", Role.OPERATE)
    second = await console_tokens.renew(connection, "ada", Role.OPERATE)
    assert await console_tokens.owner_of(connection, first.token) is None
    owner = await console_tokens.owner_of(connection, second.token)
    assert owner is not None
    assert owner.role is Role.OPERATE


@pytest.mark.parametrize("name", ["", " ada", "a\x1b[2J", "x" * 65, "<b>"])
async def test_a_name_that_no_listing_could_show_is_refused(
    connection: Connection, name: str
) -> None:
    with pytest.raises(WrongUsage, match="no name for a token"):
        await console_tokens.add(connection, name, Role.VIEW)
