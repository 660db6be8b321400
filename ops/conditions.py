"""An org's conditions: the fields whose update is worth a callout, and what an admin adds to them.

Apex learns of a new version of them with the answer to its next callout. What it did not tell
before and is to tell from now on is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops import field_types, needed_loads
from ops.errors import OpsError, WrongUsage
from pipeline.objects import SObject
from rules import RuleError, RuleSet, compile_rule, parse_rules
from rules.mistakes import near_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ops.field_types import DescribedObject
    from ops.needed_loads import NeededLoad
    from pipeline.database import Connection
    from rules import Rule

# Whoever changes an org's rules, types or watched fields takes turns by this lock.
LOCK_ORG: Final = "SELECT watched::text FROM org WHERE org_id = $1 FOR NO KEY UPDATE"
READ_ACTIVE: Final = "SELECT rule, source FROM rule WHERE org_id = $1 AND state = 'active'"
_WRITE_CONDITIONS: Final = """
    UPDATE org SET conditions = $2::jsonb, conditions_version = conditions_version + 1
    WHERE org_id = $1 AND conditions <> $2::jsonb"""
_READ_WATCHED: Final = "SELECT watched::text FROM org WHERE org_id = $1"
_WRITE_WATCHED: Final = "UPDATE org SET watched = $2::jsonb WHERE org_id = $1"

_MOST_NAMED: Final = 20

_watched: Final = msgspec.json.Decoder(dict[SObject, list[str]])


class Watched(NamedTuple):
    """The fields that an admin added (`Lead.Rating`), and the loads that this began."""

    fields: list[str]
    loads: list[NeededLoad]


async def refresh(connection: Connection, org_id: str, active: Iterable[Rule]) -> list[NeededLoad]:
    """Write what `active`, all of the org's active rules, and its admin want to be watched.

    The loads that this needs are begun and returned. The caller holds the org's lock.
    """
    wanted = await _wanted(connection, org_id, active)
    loads = await needed_loads.needed(connection, org_id, wanted)
    await connection.execute(_WRITE_CONDITIONS, org_id, _encoded(wanted))
    await needed_loads.begin(connection, org_id, loads)
    return loads


async def needed_by(
    connection: Connection, org_id: str, active: Iterable[Rule]
) -> list[NeededLoad]:
    """Return the loads that `refresh` would begin."""
    return await needed_loads.needed(connection, org_id, await _wanted(connection, org_id, active))


async def refresh_from_store(connection: Connection, org_id: str) -> list[NeededLoad]:
    """Write the conditions anew, from the rules as they are stored; return the loads begun."""
    return await refresh(connection, org_id, await active_rules(connection, org_id))


async def refresh_all(connection: Connection) -> None:
    """Write the conditions of every org anew, org by org.

    Raises:
        OpsError: this version of the code cannot read the rules of some orgs, whose conditions stay
            as they were; all others are written.
    """
    unread = []
    for row in await connection.fetch("SELECT org_id FROM org ORDER BY org_id"):
        try:
            async with connection.transaction():
                await connection.execute(LOCK_ORG, row["org_id"])
                await refresh_from_store(connection, row["org_id"])
        except RuleError as error:
            unread.append(f"  org {row['org_id']}: {error.mistakes[0]}")
    if unread:
        more = [f"  and {len(unread) - _MOST_NAMED:,} more"] if len(unread) > _MOST_NAMED else []
        raise OpsError(
            "this version cannot read rules of these orgs, whose conditions stay as they were:"
            " apply those rules anew, and run `penstock migrate` again\n"
            + "\n".join([*unread[:_MOST_NAMED], *more])
        )


async def active_rules(connection: Connection, org_id: str) -> list[Rule]:
    """Return the org's active rules.

    Raises:
        rules.RuleError: this version of the code cannot read one of them.
    """
    rows = await connection.fetch(READ_ACTIVE, org_id)
    return [
        rule for row in rows for rule in parse_rules(row["source"], f"stored rule {row['rule']}")
    ]


def union(
    one: Mapping[SObject, Sequence[str]], other: Mapping[SObject, Sequence[str]]
) -> dict[SObject, list[str]]:
    """Return the fields of both; an object with an empty list is watched whole.

    Of two spellings of a field the first one's stays.
    """
    together: dict[SObject, list[str]] = {}
    for sobject in {**one, **other}:
        lists = [fields[sobject] for fields in (one, other) if sobject in fields]
        spellings = {name.casefold(): name for names in reversed(lists) for name in names}
        together[sobject] = sorted(spellings.values()) if all(lists) else []
    return together


async def watch(connection: Connection, org_id: str, fields: Sequence[str]) -> Watched:
    """Watch fields (`Lead.Rating`) besides those that rules read.

    Raises:
        WrongUsage: one is no object's field.
    """
    async with connection.transaction():
        before = await _locked(connection, org_id)
        catalog = await field_types.described(connection, org_id)
        wanted: dict[SObject, list[str]] = {}
        for text in fields:
            sobject, name = _field(text)
            if catalog.knows(sobject, name) is False:
                known = [field.name for field in catalog.of(sobject).fields]
                raise WrongUsage(f"{sobject} has no field '{name}'{near_name(name, known)}")
            wanted.setdefault(sobject, []).append(name)
        return await _keep(connection, org_id, union(before, wanted))


async def unwatch(connection: Connection, org_id: str, fields: Sequence[str]) -> Watched:
    """Take back what `watch` added; rules' own fields stay watched.

    Raises:
        OpsError: one was not added.
    """
    async with connection.transaction():
        watched = await _locked(connection, org_id)
        for sobject, name in map(_field, fields):
            kept = [one for one in watched.get(sobject, []) if one.casefold() != name.casefold()]
            if len(kept) == len(watched.get(sobject, [])):
                added = listed(watched)
                near = near_name(f"{sobject}.{name}", added)
                raise OpsError(f"{sobject}.{name} was not added to org {org_id}{near}")
            watched[sobject] = kept
        left = {sobject: names for sobject, names in watched.items() if names}
        return await _keep(connection, org_id, left)


async def describe(
    connection: Connection, org_id: str, files: Iterable[tuple[str, bytes]]
) -> list[DescribedObject]:
    """Keep what files (name, content) say of objects' fields, in place of what was said before.

    Fields that an object turns out not to have are no longer watched on it.

    Raises:
        OpsError: a file is no description of an object that Penstock carries; nothing is kept.
    """
    fields = field_types.read_files(files)
    async with connection.transaction():
        await connection.execute(LOCK_ORG, org_id)
        kept = await field_types.write(connection, org_id, fields)
        await refresh_from_store(connection, org_id)
    return kept


def listed(watched: Mapping[SObject, Iterable[str]]) -> list[str]:
    """Return fields as `Lead.Rating`, sorted."""
    return sorted(f"{sobject}.{name}" for sobject, names in watched.items() for name in names)


async def _locked(connection: Connection, org_id: str) -> dict[SObject, list[str]]:
    return _watched.decode(await connection.fetchval(LOCK_ORG, org_id))


async def _keep(
    connection: Connection, org_id: str, watched: Mapping[SObject, Sequence[str]]
) -> Watched:
    await connection.execute(_WRITE_WATCHED, org_id, _encoded(watched))
    return Watched(listed(watched), await refresh_from_store(connection, org_id))


async def _wanted(
    connection: Connection, org_id: str, active: Iterable[Rule]
) -> dict[SObject, list[str]]:
    catalog = await field_types.described(connection, org_id)
    # What they read does not depend on their versions.
    read = RuleSet(compile_rule(rule, version=1) for rule in active).watched(catalog.knows)
    added = _watched.decode(await connection.fetchval(_READ_WATCHED, org_id))
    return union(read, added)


def _encoded(fields: Mapping[SObject, Sequence[str]]) -> str:
    return msgspec.json.encode(fields, order="sorted").decode()


def _field(text: str) -> tuple[SObject, str]:
    object_name, _, name = text.partition(".")
    known = {sobject.value.casefold(): sobject for sobject in SObject}
    sobject = known.get(object_name.casefold())
    if sobject is None:
        near = near_name(object_name, SObject) or f"; known are {', '.join(SObject)}"
        raise WrongUsage(f"unknown object '{object_name}'{near}")
    if not name.isidentifier() or not name.isascii():
        raise WrongUsage(f"'{text}' names no field: write Object.Field, such as Lead.Rating")
    return sobject, name
