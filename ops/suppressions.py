"""The suppression list: addresses and domains that nothing is sent to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from ops.errors import OpsError, WrongUsage
from ops.times import with_iso_times
from workers.relay.addresses import canonical_address, canonical_domain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncpg import Record

    from pipeline.database import Connection

# What `suppression.org_id` is for every org.
_ALL_ORGS: Final = ""
# A domain as DNS has it, of two labels at least: to suppress all of .com is a slip.
_DOMAIN: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")

_ADD: Final = """
    INSERT INTO suppression AS stored (value, org_id, reason)
    SELECT value, $2, $3 FROM unnest($1::text[]) AS value
    ON CONFLICT (value, org_id) DO UPDATE SET reason = coalesce(excluded.reason, stored.reason)
    RETURNING value, org_id, reason, added_at"""
_MISSING: Final = """
    SELECT value FROM unnest($1::text[]) AS value
    WHERE NOT EXISTS (SELECT FROM suppression
                      WHERE suppression.value = value.value AND suppression.org_id = $2)"""
_REMOVE: Final = """
    DELETE FROM suppression WHERE value = ANY($1::text[]) AND org_id = $2
    RETURNING value, org_id, reason, added_at"""
_LIST: Final = """
    SELECT value, org_id, reason, added_at FROM suppression
    WHERE $1::text IS NULL OR org_id IN ('', $1)
    ORDER BY value, org_id LIMIT $2"""


class SuppressionRow(msgspec.Struct, frozen=True):
    """An entry: an address, or a domain with all below it; `org_id` is None for every org.

    `value` is in lower case, a domain as DNS has it (punycode). `added_at` is RFC 3339.
    """

    value: str
    org_id: str | None
    reason: str | None
    added_at: str


async def add(
    connection: Connection, texts: Iterable[str], *, org_id: str | None, reason: str | None
) -> list[SuppressionRow]:
    """Put addresses and domains on the list, of one org or of all; those that are on it stay.

    Raises:
        WrongUsage: one is neither an address nor a domain; none is put on the list.
    """
    rows = await connection.fetch(_ADD, _values(texts), org_id or _ALL_ORGS, reason)
    return [_row(row) for row in rows]


async def remove(
    connection: Connection, texts: Iterable[str], *, org_id: str | None
) -> list[SuppressionRow]:
    """Take addresses and domains off the list of one org, or off that of all; all or none.

    Raises:
        OpsError: one is not on that list.
        WrongUsage: one is neither an address nor a domain.
    """
    values = _values(texts)
    async with connection.transaction():
        missing = await connection.fetch(_MISSING, values, org_id or _ALL_ORGS)
        if missing:
            whose = "all orgs" if org_id is None else f"org {org_id}"
            names = ", ".join(row["value"] for row in missing)
            raise OpsError(f"not on the list of {whose}: {names} (`penstock suppress list`)")
        rows = await connection.fetch(_REMOVE, values, org_id or _ALL_ORGS)
    return [_row(row) for row in rows]


async def listing(
    connection: Connection, *, org_id: str | None, limit: int
) -> list[SuppressionRow]:
    """Return the entries, or those that apply to one org, by value."""
    return [_row(row) for row in await connection.fetch(_LIST, org_id, limit)]


def canonical(text: str) -> str:
    """Return an address or a domain in the form in which it is kept. `@x.org` is a domain, too.

    Raises:
        WrongUsage: it is neither.
    """
    local, at, domain = text.strip().rpartition("@")
    if _DOMAIN.fullmatch(canonical_domain(domain)) and " " not in local:
        return canonical_address(text) if local else canonical_domain(domain)
    what = "an address" if at else "a domain"
    raise WrongUsage(f"{text!r} is not {what}: write ana@example.com or example.com")


def _values(texts: Iterable[str]) -> list[str]:
    """Return what is meant, each once, in the order of the table's key."""
    return sorted({canonical(text) for text in texts})


def _row(row: Record) -> SuppressionRow:
    told = with_iso_times(row)
    return SuppressionRow(**(told | {"org_id": told["org_id"] or None}))
