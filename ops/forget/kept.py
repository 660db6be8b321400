"""Tombstones kept outside the database, and applied again to one that was restored without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.database import UNHURRIED_S
from ops.errors import OpsError
from ops.forget.plan import Person, begin

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection

_CHECK: Final = "SELECT penstock_address_mark('', '')"
_READ: Final = "SELECT org_id, mark, until FROM tombstone ORDER BY org_id, mark"
_COUNT: Final = """
    SELECT count(*) FILTER (WHERE mark NOT LIKE 'address:%') AS record_count,
           count(*) FILTER (WHERE mark LIKE 'address:%') AS address_count,
           count(*) FILTER (WHERE mark LIKE 'address:%' AND until IS NULL) AS blocked_count
    FROM tombstone WHERE org_id = $1"""
_FIND_ADDRESSES: Final = """
    SELECT DISTINCT address FROM (
        SELECT lower(btrim(fields ->> 'Email')) AS address FROM record
        WHERE org_id = $1 AND object IN ('Lead', 'Contact', 'Account', 'User')
        UNION SELECT lower(btrim(fields ->> 'PersonEmail')) FROM record
        WHERE org_id = $1 AND object = 'Account'
        UNION SELECT recipient FROM enrollment WHERE org_id = $1
        UNION SELECT address FROM opt_out WHERE org_id = $1
        UNION SELECT value FROM suppression WHERE org_id IN ('', $1)) AS held
    WHERE address LIKE '%@%' AND penstock_address_mark($1, address) = ANY($2::text[])"""
_RESTORE: Final = """
    INSERT INTO tombstone (org_id, mark, until)
    SELECT $1, mark, until FROM unnest($2::text[], $3::bigint[]) AS kept (mark, until)
    ON CONFLICT (org_id, mark) DO UPDATE SET until = excluded.until"""

# The list has an address that is blocked by the same hash.
_BLOCK: Final = """
    INSERT INTO suppression (org_id, value, reason)
    SELECT $1, mark, 'forgotten' FROM unnest($2::text[], $3::bigint[]) AS kept (mark, until)
    WHERE mark LIKE 'address:%' AND until IS NULL
    ON CONFLICT DO NOTHING"""


class Tombstone(msgspec.Struct, frozen=True):
    """A record's id or an address's keyed hash; `until` is Unix ms, None for always."""

    org_id: str
    mark: str
    until: int | None


class Kept(msgspec.Struct, frozen=True):
    """All tombstones. `check` tells whether a database has the key of their hashes."""

    check: str
    tombstones: list[Tombstone]


class ForgottenCount(msgspec.Struct, frozen=True):
    """How many tombstones an org has; of the addresses, how many are blocked."""

    record_count: int
    address_count: int
    blocked_count: int


async def count(connection: Connection, org_id: str) -> ForgottenCount:
    """Count what is forgotten in an org."""
    row = await connection.fetchrow(_COUNT, org_id)
    return msgspec.convert(dict(row or {}), ForgottenCount)


async def kept(connection: Connection) -> Kept:
    """Return all tombstones, to be kept beside the dumps."""
    rows = await connection.fetch(_READ)
    check: str = await connection.fetchval(_CHECK)
    return Kept(check, [msgspec.convert(dict(row), Tombstone) for row in rows])


async def lacking(connection: Connection, known: Kept) -> list[Tombstone]:
    """Return the kept tombstones that the database lacks, or has of an earlier erasure.

    Of the others the erasure is in the backup, or a run of it that is not finished
    (`bulk_runs.unfinished`). Whoever came anew since is a new contact.

    Raises:
        OpsError: the database has another key, so that it cannot know an address by its hash.
    """
    if known.check != await connection.fetchval(_CHECK):
        raise OpsError(
            "these tombstones are of another database: it was restored from before its first"
            " `penstock migrate` with tombstones, or they belong elsewhere"
        )
    held = {(one.org_id, one.mark): one.until for one in (await kept(connection)).tombstones}
    return [
        one
        for one in known.tombstones
        if (one.org_id, one.mark) not in held or not _reaches(held[one.org_id, one.mark], one.until)
    ]


def _reaches(held: int | None, wanted: int | None) -> bool:
    return held is None or (wanted is not None and wanted <= held)


async def again(connection: Connection, known: Kept, *, actor: str) -> list[BulkRun]:
    """Write what the database lacks of kept tombstones, and begin a run for each org of them.

    Nobody drives the runs yet. Targets are told nothing: they were when the person was forgotten.

    Raises:
        OpsError: as `lacking`.
    """
    missing = await lacking(connection, known)
    runs = []
    for org_id in sorted({one.org_id for one in missing}):
        own = [one for one in missing if one.org_id == org_id]
        marks = [one.mark for one in own]
        found = await connection.fetch(_FIND_ADDRESSES, org_id, marks, timeout=UNHURRIED_S)
        record_ids = [mark for mark in marks if not mark.startswith("address:")]
        person = Person(org_id, [row["address"] for row in found], record_ids, tells=False)
        async with connection.transaction():
            runs.append(await begin(connection, person, actor=actor))
            kept_as = (org_id, marks, [one.until for one in own])
            await connection.execute(_RESTORE, *kept_as)
            await connection.execute(_BLOCK, *kept_as)
    return runs
