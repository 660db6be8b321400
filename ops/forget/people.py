"""Whose records carry an address: looked for page by page, in the history and in what is stored.

A record is the person's if it is a lead, contact, account or user whose `Email` or `PersonEmail` is
the address, or ever was as far as the history reaches; and so are tasks and events with them
(`WhoId`). A custom field that holds the address, or a text that mentions it, makes no record
theirs: it may be of whoever referred them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.forgotten import PEOPLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from asyncpg import Record

    from pipeline.database import Connection

PAGE_COUNT: Final = 2000
_WILD: Final = re.compile(r"([%_\\])")
_ESCAPED: Final = r"\\\1"
_OBJECTS: Final = sorted(one.value for one in PEOPLE)

# A page of the history in the order of its key; texts are asked for the address first, since a
# pattern costs ten times as much.
_IN_HISTORY: Final = """
    WITH page AS (
        SELECT captured_at, capture_id, record_id, org_id, object, old, new FROM change
        WHERE captured_at >= $2 AND (captured_at, capture_id, record_id, org_id) > ($2, $3, $4, $5)
        ORDER BY captured_at, capture_id, record_id, org_id LIMIT $6)
    SELECT captured_at, capture_id, record_id, org_id,
           org_id = $1 AND object = ANY($7::text[])
           AND (lower(old) LIKE ANY($8::text[]) AND old ~* $9
                OR lower(new) LIKE ANY($8::text[]) AND new ~* $9) AS is_theirs
    FROM page ORDER BY captured_at, capture_id, record_id, org_id"""
# The key's order has people before tasks and events: whoever they are with is known by then.
_AMONG_RECORDS: Final = """
    SELECT record_id,
           object = ANY($4::text[]) AND (lower(btrim(fields ->> 'Email')) = ANY($5::text[])
               OR lower(btrim(fields ->> 'PersonEmail')) = ANY($5::text[])) AS is_theirs,
           CASE WHEN object IN ('Task', 'Event') THEN fields ->> 'WhoId' END AS who_id
    FROM record WHERE org_id = $1 AND record_id > $2 ORDER BY record_id LIMIT $3"""


class Theirs(NamedTuple):
    """What is a person's in an org: addresses in every form, and the ids of records."""

    org_id: str
    addresses: list[str]
    record_ids: list[str]


class Found(NamedTuple):
    """The records of a page that are the person's, each once; where the next begins, None: nowhere.

    A place in the history is a key of it.
    """

    record_ids: list[str]
    after: list[int | str] | None


async def in_history(
    connection: Connection, org_id: str, addresses: Collection[str], after: Sequence[int | str]
) -> Found:
    """Look at a page of the history behind a key."""
    at, *rest = after or (0, "", "", "")
    rows = await connection.fetch(
        _IN_HISTORY,
        org_id,
        at,
        *rest,
        PAGE_COUNT,
        _OBJECTS,
        likes(addresses),
        rf'"(?:Person)?Email"\s*:\s*"\s*(?:{_either(addresses)})\s*"',
    )
    # A page has as many rows of a record as it changed.
    ids = {row["record_id"] for row in rows if row["is_theirs"]}
    return Found(sorted(ids), _next(rows, "captured_at", "capture_id", "record_id", "org_id"))


async def among_records(
    connection: Connection,
    org_id: str,
    addresses: Collection[str],
    known: Collection[str],
    after: Sequence[int | str],
) -> Found:
    """Look at a page of an org's records behind an id; `known` are theirs already."""
    rows = await connection.fetch(
        _AMONG_RECORDS, org_id, *(after or [""]), PAGE_COUNT, _OBJECTS, list(addresses)
    )
    theirs = set(known)
    for row in rows:
        if row["is_theirs"] or (row["who_id"] is not None and row["who_id"] in theirs):
            theirs.add(row["record_id"])
    return Found(sorted(theirs - set(known)), _next(rows, "record_id"))


def _next(rows: Sequence[Record], *names: str) -> list[int | str] | None:
    return [rows[-1][name] for name in names] if len(rows) == PAGE_COUNT else None


def likes(addresses: Collection[str]) -> list[str]:
    """Return patterns for LIKE of texts, in lower case, that may hold an address."""
    return [f"%{_WILD.sub(_ESCAPED, one)}%" for one in addresses]


def pattern(addresses: Collection[str]) -> str:
    """Return a pattern of an address wherever it stands alone: not within a longer one."""
    # In JSON's text a line may end in front of it: `\n` is no letter of a longer one.
    before = r"(?:(?<![[:alnum:]._%+-])|(?<=\\[bfnrt]))"
    return rf"{before}(?:{_either(addresses)})(?![[:alnum:]_-]|\.[[:alnum:]])"


def _either(addresses: Collection[str]) -> str:
    return "|".join(re.escape(one) for one in sorted(addresses))
