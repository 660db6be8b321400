"""Applying, listing and showing rules: every version is kept, one is active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ops.errors import OpsError
from ops.times import with_iso_times
from rules import RuleSet, compile_rule, parse_rules, split_documents

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.database import Connection
    from rules import Rule

_LOCK_ORG: Final = "SELECT conditions::text FROM org WHERE org_id = $1 FOR UPDATE"
_READ_NEWEST: Final = """
    SELECT version, state, source FROM rule WHERE org_id = $1 AND rule = $2
    ORDER BY version DESC LIMIT 1"""
_SUPERSEDE: Final = """
    UPDATE rule SET state = 'superseded'
    WHERE org_id = $1 AND rule = $2 AND state <> 'superseded'"""
_INSERT: Final = """
    INSERT INTO rule (org_id, rule, version, object, state, source)
    VALUES ($1, $2, $3, $4, 'active', $5)"""
_READ_ACTIVE: Final = "SELECT source, version FROM rule WHERE org_id = $1 AND state = 'active'"
_WRITE_CONDITIONS: Final = """
    UPDATE org SET conditions = $2::jsonb, conditions_version = conditions_version + 1
    WHERE org_id = $1 AND conditions <> $2::jsonb"""
_LIST: Final = """
    SELECT DISTINCT ON (org_id, rule) org_id, rule, object, version, state, applied_at
    FROM rule WHERE ($1::text IS NULL OR org_id = $1)
    ORDER BY org_id, rule, version DESC"""
_SHOW: Final = """
    SELECT org_id, rule, object, version, state, applied_at, source
    FROM rule WHERE org_id = $1 AND rule = $2 AND ($3::integer IS NULL OR version = $3)
    ORDER BY version DESC LIMIT 1"""


class Applied(msgspec.Struct, frozen=True):
    """What became of one rule of a file."""

    rule: str
    object: str
    version: int
    outcome: Literal["added", "changed", "unchanged"]


class RuleRow(msgspec.Struct, frozen=True):
    """A rule's newest version; `applied_at` is RFC 3339."""

    org_id: str
    rule: str
    object: str
    version: int
    state: str
    applied_at: str


class RuleWhole(RuleRow, frozen=True):
    """One version of a rule with its YAML."""

    source: str


async def apply(
    connection: Connection, org_id: str, texts: Iterable[tuple[str, str]]
) -> list[Applied]:
    """Apply rules from (file name, YAML text) pairs, all or none; rules not named stay.

    The org's conditions follow: Apex learns of them with the answer to its next callout.

    Raises:
        rules.RuleError: with every mistake of the first file that has any; nothing is applied.
        OpsError: two files hold rules of one name.
    """
    parsed: dict[str, tuple[str, Rule, str]] = {}
    for file, text in texts:
        for rule, document in zip(parse_rules(text, file), split_documents(text), strict=True):
            if parse_rules(document, file) != [rule]:
                raise OpsError(f"{file}: rule {rule.name!r} reads differently by itself")
            if rule.name in parsed:
                first, _, _ = parsed[rule.name]
                raise OpsError(f"two of the files hold a rule {rule.name!r}: {first} and {file}")
            parsed[rule.name] = (file, rule, document)
    async with connection.transaction():
        await connection.execute(_LOCK_ORG, org_id)
        applied = [
            await _apply_one(connection, org_id, rule.name, rule.object.value, document)
            for _, rule, document in parsed.values()
        ]
        await _write_conditions(connection, org_id)
    return applied


async def _apply_one(
    connection: Connection, org_id: str, name: str, sobject: str, source: str
) -> Applied:
    newest = await connection.fetchrow(_READ_NEWEST, org_id, name)
    if newest and newest["state"] == "active" and newest["source"] == source:
        return Applied(name, sobject, newest["version"], "unchanged")
    version = newest["version"] + 1 if newest else 1
    await connection.execute(_SUPERSEDE, org_id, name)
    await connection.execute(_INSERT, org_id, name, version, sobject, source)
    return Applied(name, sobject, version, "changed" if newest else "added")


async def _write_conditions(connection: Connection, org_id: str) -> None:
    rows = await connection.fetch(_READ_ACTIVE, org_id)
    active = RuleSet(
        compile_rule(rule, row["version"])
        for row in rows
        for rule in parse_rules(row["source"], "a stored rule")
    )
    watched = {sobject.value: fields for sobject, fields in active.watched().items()}
    await connection.execute(
        _WRITE_CONDITIONS, org_id, msgspec.json.encode(watched, order="sorted").decode()
    )


async def listing(connection: Connection, org_id: str | None) -> list[RuleRow]:
    """Return the newest version of every rule, of one org or of all."""
    return [RuleRow(**with_iso_times(row)) for row in await connection.fetch(_LIST, org_id)]


async def show(connection: Connection, org_id: str, rule: str, version: int | None) -> RuleWhole:
    """Return one version of a rule, the newest if none is named.

    Raises:
        OpsError: there is no such rule or version.
    """
    row = await connection.fetchrow(_SHOW, org_id, rule, version)
    if row is None:
        which = f"rule {rule!r}" if version is None else f"version {version} of rule {rule!r}"
        raise OpsError(f"org {org_id} has no {which}: `penstock rules list`")
    return RuleWhole(**with_iso_times(row))
