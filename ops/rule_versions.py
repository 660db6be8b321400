"""The versions of rules as they are stored: all are kept, one of each rule counts.

The one that counts is active, disabled or removed; every other one is superseded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops.errors import OpsError
from ops.rule_plan import RuleState, Stored
from ops.times import with_iso_times
from rules.mistakes import near_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from asyncpg import Record

    from pipeline.database import Connection

_READ_STORED: Final = """
    SELECT rule, object, version, state, source, newest
    FROM rule
    JOIN (SELECT rule, max(version) AS newest FROM rule WHERE org_id = $1 GROUP BY rule) AS numbers
        USING (rule)
    WHERE org_id = $1 AND state <> 'superseded' ORDER BY rule"""
_SUPERSEDE: Final = """
    UPDATE rule SET state = 'superseded'
    WHERE org_id = $1 AND rule = ANY($2::text[]) AND state <> 'superseded'"""
_INSERT: Final = """
    INSERT INTO rule (org_id, rule, version, object, state, source)
    SELECT $1, new.* FROM unnest($2::text[], $3::integer[], $4::text[], $5::text[], $6::text[])
        AS new (rule, version, object, state, source)"""
_SET_STATE: Final = """
    UPDATE rule SET state = $3
    WHERE org_id = $1 AND rule = ANY($2::text[]) AND state NOT IN ('superseded', $3)"""
_REVIVE: Final = """
    UPDATE rule SET state = $4 WHERE org_id = $1 AND rule = $2 AND version = $3"""
_LIST: Final = """
    SELECT org_id, rule, object, version, state, applied_at FROM rule
    WHERE ($1::text IS NULL OR org_id = $1) AND state <> 'superseded'
        AND ($2 OR state <> 'removed') AND (org_id, rule) > ($3, $4)
    ORDER BY org_id, rule LIMIT $5"""
_VERSIONS: Final = """
    SELECT org_id, rule, object, version, state, applied_at FROM rule
    WHERE org_id = $1 AND rule = $2 ORDER BY version"""
_SHOW: Final = """
    SELECT org_id, rule, object, version, state, applied_at, source FROM rule
    WHERE org_id = $1 AND rule = $2
        AND CASE WHEN $3::integer IS NULL THEN state <> 'superseded' ELSE version = $3 END"""
_NAMES: Final = "SELECT DISTINCT rule FROM rule WHERE org_id = $1"


class RuleRow(msgspec.Struct, frozen=True):
    """One version of a rule; `applied_at` is RFC 3339."""

    org_id: str
    rule: str
    object: str
    version: int
    state: RuleState
    applied_at: str


class RuleWhole(RuleRow, frozen=True):
    """One version of a rule with its YAML."""

    source: str


class NewVersion(NamedTuple):
    """A version to be stored."""

    rule: str
    version: int
    object: str
    state: RuleState
    source: str


async def read_stored(connection: Connection, org_id: str) -> dict[str, Stored]:
    """Return the version that counts of each of an org's rules, by name."""
    rows = await connection.fetch(_READ_STORED, org_id)
    return {
        row["rule"]: Stored(
            row["rule"],
            row["object"],
            row["version"],
            RuleState(row["state"]),
            row["source"],
            row["newest"],
        )
        for row in rows
    }


async def add(connection: Connection, org_id: str, versions: Collection[NewVersion]) -> None:
    """Store versions, which count from now on."""
    if versions:
        columns = [list(column) for column in zip(*versions, strict=True)]
        await connection.execute(_SUPERSEDE, org_id, columns[0])
        await connection.execute(_INSERT, org_id, *columns)


async def set_state(
    connection: Connection, org_id: str, rules: Collection[str], state: RuleState
) -> None:
    """Give the versions that count of some rules another state."""
    if rules:
        await connection.execute(_SET_STATE, org_id, sorted(rules), state.value)


async def revive(
    connection: Connection, org_id: str, rule: str, version: int, state: RuleState
) -> None:
    """Let another version of a rule count, in a state."""
    await connection.execute(_SUPERSEDE, org_id, [rule])
    await connection.execute(_REVIVE, org_id, rule, version, state.value)


async def listing(
    connection: Connection,
    org_id: str | None,
    *,
    removed: bool = False,
    after: tuple[str, str] = ("", ""),
    limit: int | None = None,
) -> list[RuleRow]:
    """Return the version that counts of every rule, of one org or of all.

    `removed`: those that are removed as well; or `limit` of those that come `after` (org, rule).
    """
    rows = await connection.fetch(_LIST, org_id, removed, *after, limit)
    return [_row(row) for row in rows]


async def versions(connection: Connection, org_id: str, rule: str) -> list[RuleRow]:
    """Return every version of a rule, from the first.

    Raises:
        OpsError: there is no such rule.
    """
    rows = await connection.fetch(_VERSIONS, org_id, rule)
    if not rows:
        raise await no_such_rule(connection, org_id, rule)
    return [_row(row) for row in rows]


async def show(connection: Connection, org_id: str, rule: str, version: int | None) -> RuleWhole:
    """Return one version of a rule, the one that counts if none is named.

    Raises:
        OpsError: there is no such rule or version.
    """
    row = await connection.fetchrow(_SHOW, org_id, rule, version)
    if row is not None:
        return RuleWhole(**{**with_iso_times(row), "state": RuleState(row["state"])})
    known = await versions(connection, org_id, rule)
    raise OpsError(
        f"org {org_id} has no version {version} of rule {rule!r}; its newest is {known[-1].version}"
    )


async def no_such_rule(connection: Connection, org_id: str, rule: str) -> OpsError:
    """Return the error that an org has no rule of a name."""
    known = [row["rule"] for row in await connection.fetch(_NAMES, org_id)]
    near = near_name(rule, known) or ": `penstock rules list --all`"
    return OpsError(f"org {org_id} has no rule {rule!r}{near}")


def _row(row: Record) -> RuleRow:
    return RuleRow(**{**with_iso_times(row), "state": RuleState(row["state"])})
