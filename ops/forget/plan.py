"""Whom a run would forget, before anything is done; and beginning it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops import bulk_runs
from ops.bulk_runs import BulkRun, RunKind
from ops.errors import OpsError, WrongUsage
from ops.forget import enrollments, people
from ops.forget.people import Theirs
from pipeline.database.partitions import AHEAD_MS
from pipeline.objects import is_salesforce_id, long_id
from rules.recipient import address_of
from workers.received import now_ms
from workers.relay.addresses import canonical_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection

RATE_PER_S: Final = 2000
# An address of more records is nobody's own.
MAX_RECORDS: Final = 1000

_OBJECTS: Final = """
    SELECT record_id, object FROM record
    WHERE org_id = $1 AND record_id = ANY($2::text[]) ORDER BY record_id"""
_COUNTS: Final = """
    SELECT (SELECT count(*) FROM change
            WHERE org_id = $1 AND record_id = ANY($2::text[])) AS change,
           (SELECT count(*) FROM record
            WHERE org_id = $1 AND record_id = ANY($2::text[])) AS record,
           (SELECT count(*) FROM gap WHERE org_id = $1 AND record_id = ANY($2::text[])) AS gap,
           (SELECT count(*) FROM waiting
            WHERE org_id = $1 AND record_id = ANY($2::text[])) AS waiting,
           (SELECT count(*) FROM dead_letter
            WHERE org_id = $1 AND record_id = ANY($2::text[])) AS dead_letter,
           (SELECT count(*) FROM outbox WHERE enrollment_id = ANY($3::bigint[])) AS outbox"""
_OTHER_ADDRESSES: Final = """
    SELECT DISTINCT lower(btrim(coalesce(fields ->> 'Email', fields ->> 'PersonEmail'))) AS address
    FROM record WHERE org_id = $1 AND record_id = ANY($2::text[])
      AND object IN ('Lead', 'Contact', 'Account', 'User')
      AND coalesce(fields ->> 'Email', fields ->> 'PersonEmail') LIKE '%@%'"""
_NAMING_RULES: Final = """
    SELECT DISTINCT rule FROM rule
    WHERE org_id = $1 AND lower(source) LIKE ANY($2::text[]) ORDER BY rule"""
_BURY: Final = """
    INSERT INTO tombstone AS stored (org_id, mark, until, run_id)
    SELECT $1, mark, $3, $4 FROM unnest($2::text[]) AS mark ORDER BY mark
    ON CONFLICT (org_id, mark) DO UPDATE
    SET run_id = excluded.run_id, forgotten_at = excluded.forgotten_at,
        until = CASE WHEN stored.until IS NULL THEN NULL ELSE excluded.until END"""
_BURY_ADDRESSES: Final = """
    INSERT INTO tombstone AS stored (org_id, mark, until, run_id)
    SELECT $1, penstock_address_mark($1, address), $3, $4
    FROM unnest($2::text[]) AS address ORDER BY 2
    ON CONFLICT (org_id, mark) DO UPDATE
    SET run_id = excluded.run_id, forgotten_at = excluded.forgotten_at,
        until = CASE WHEN stored.until IS NULL THEN NULL ELSE excluded.until END"""
_MAY_ERASE: Final = """
    SELECT has_table_privilege('tombstone', 'INSERT') AND has_table_privilege('change', 'DELETE')"""
_REMEMBER: Final = "INSERT INTO forgetting (run_id, addresses) VALUES ($1, $2::text[])"


class Person(msgspec.Struct, frozen=True):
    """Who is to be forgotten: addresses in every form in which they may be kept, and records.

    `is_blocked`: what is captured later and carries an address is dropped as well. `tells`: targets
    that have the person are told of the exit.
    """

    org_id: str
    addresses: list[str]
    record_ids: list[str]
    is_blocked: bool = False
    tells: bool = True


class PersonRecord(msgspec.Struct, frozen=True):
    """A record that is the person's; `object` is None if only the history has it."""

    record_id: str
    object: str | None


class ForgetPlan(msgspec.Struct, frozen=True):
    """What a run would erase: rows by table. What only mentions an address is counted nowhere.

    `other_addresses` are those of the person's records that were not named; `rules` those whose
    text, in whatever version, holds an address: nobody but their author changes that.
    """

    person: Person
    records: list[PersonRecord]
    counts: dict[str, int]
    other_addresses: list[str]
    rules: list[str]


def named(
    org_id: str,
    emails: Iterable[str],
    record_ids: Iterable[str],
    *,
    is_blocked: bool = False,
    tells: bool = True,
) -> Person:
    """Return who is named.

    Raises:
        WrongUsage: nobody is, or what is named is no address or no record id.
    """
    addresses: set[str] = set()
    for email in emails:
        address = address_of(email)
        if address is None:
            raise WrongUsage(f"{email!r} is no e-mail address")
        addresses |= {address, canonical_address(address)}
    ids = list(record_ids)
    if wrong := [one for one in ids if not is_salesforce_id(one)]:
        raise WrongUsage(f"{wrong[0]!r} is no record id of 15 or 18 characters")
    if not addresses and not ids:
        raise WrongUsage("say whom: --email or --record")
    return Person(org_id, sorted(addresses), sorted(map(long_id, ids)), is_blocked, tells)


async def plan(connection: Connection, person: Person) -> ForgetPlan:
    """Find the person's records, and count what would be erased. Reads the org's whole history.

    Raises:
        OpsError: an address is of so many records that it is nobody's own.
    """
    record_ids = await _find(connection, person)
    org_id = person.org_id
    objects = {
        row["record_id"]: row["object"]
        for row in await connection.fetch(_OBJECTS, org_id, record_ids)
    }
    ended = await enrollments.find(connection, Theirs(org_id, person.addresses, record_ids))
    row = await connection.fetchrow(_COUNTS, org_id, record_ids, ended)
    counts = {"enrollment": len(ended)} | (dict(row) if row else {})
    others = await connection.fetch(_OTHER_ADDRESSES, org_id, record_ids)
    likes = people.likes(person.addresses)
    return ForgetPlan(
        person=person,
        records=[PersonRecord(one, objects.get(one)) for one in record_ids],
        counts=counts,
        other_addresses=sorted({one["address"] for one in others} - set(person.addresses)),
        rules=[one["rule"] for one in await connection.fetch(_NAMING_RULES, org_id, likes)],
    )


async def require_rights(connection: Connection) -> None:
    """Refuse whoever may not erase, before anything is done.

    Raises:
        OpsError: the user does not own the tables; no role may erase (`pipeline.database.access`).
    """
    if not await connection.fetchval(_MAY_ERASE):
        user = await connection.fetchval("SELECT current_user")
        raise OpsError(
            f"{user} may not erase people: only the owner of the tables may, as whom"
            " `penstock migrate` is run"
        )


async def begin(connection: Connection, person: Person, *, actor: str) -> BulkRun:
    """Write the tombstones and begin the run; nobody drives it yet.

    From here on nothing that the named records or addresses come with is taken in.

    Raises:
        OpsError: the user may not erase.
    """
    await require_rights(connection)
    async with connection.transaction():
        run = await bulk_runs.create(
            connection,
            RunKind.FORGET,
            actor=actor,
            parameters={
                "org_id": person.org_id,
                "record_ids": person.record_ids,
                "address_count": len(person.addresses),
                "is_blocked": person.is_blocked,
                "tells": person.tells,
            },
            total_count=None,
            rate_per_s=RATE_PER_S,
        )
        # A change may say that it was captured so far ahead: all that is there is of before.
        until = None if person.is_blocked else now_ms() + AHEAD_MS
        await connection.execute(_BURY_ADDRESSES, person.org_id, person.addresses, until, run.id)
        await bury(connection, person.org_id, person.record_ids, run.id)
        await connection.execute(_REMEMBER, run.id, person.addresses)
    return run


async def bury(connection: Connection, org_id: str, record_ids: list[str], run_id: int) -> None:
    """Write the tombstones of records."""
    if record_ids:
        await connection.execute(_BURY, org_id, record_ids, None, run_id)


async def _find(connection: Connection, person: Person) -> list[str]:
    found = set(person.record_ids)
    after: list[int | str] | None = []
    while after is not None and person.addresses:
        page = await people.in_history(connection, person.org_id, person.addresses, after)
        found.update(page.record_ids)
        after = page.after
    after = []
    while after is not None:
        page = await people.among_records(connection, person.org_id, person.addresses, found, after)
        found.update(page.record_ids)
        after = page.after
        if len(found) > MAX_RECORDS + len(person.record_ids):
            raise OpsError(
                f"more than {MAX_RECORDS:,} records carry the address: it is nobody's own;"
                " name the person's records with --record"
            )
    return sorted(found)
