"""Disabling and enabling rules, and rolling back to an earlier version, each at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ops import conditions, field_types, rule_versions
from ops.errors import OpsError
from ops.needed_loads import NeededLoad
from ops.rule_files import objects_read, rules_of
from ops.rule_plan import RuleState
from rules import parse_documents
from rules.checks.check import Sourced, check
from rules.checks.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ops.rule_plan import Stored
    from pipeline.database import Connection


class RuleNow(msgspec.Struct, frozen=True):
    """What counts of a rule from now on; `was` is what its state was before."""

    rule: str
    version: int
    state: RuleState
    was: RuleState


class Changed(msgspec.Struct, frozen=True):
    """What became of rules, what checks say of those that decide from now on, and loads begun."""

    org_id: str
    rules: list[RuleNow]
    warnings: list[Finding]
    loads: list[NeededLoad]


async def disable(connection: Connection, org_id: str, rules: Collection[str]) -> Changed:
    """Stop rules until they are enabled; applying them meanwhile leaves them disabled.

    Raises:
        OpsError: one is unknown, or was removed; none is disabled then.
    """
    return await _set_state(connection, org_id, rules, RuleState.DISABLED)


async def enable(connection: Connection, org_id: str, rules: Collection[str]) -> Changed:
    """Let disabled rules decide again.

    Raises:
        OpsError: one is unknown, or was removed; none is enabled then.
        rules.RuleError: one cannot be read any more.
    """
    return await _set_state(connection, org_id, rules, RuleState.ACTIVE)


async def roll_back(connection: Connection, org_id: str, rule: str, version: int | None) -> Changed:
    """Let an earlier version of a rule decide: the one before, if none is named.

    A removed rule comes back, as it was if no version is named. A disabled one stays disabled.

    Raises:
        OpsError: there is no such rule or version, or it is the one that counts.
        rules.RuleError: this version of the code cannot read it.
    """
    async with connection.transaction():
        await connection.execute(conditions.LOCK_ORG, org_id)
        (now,) = await _stored(connection, org_id, [rule])
        wanted = await _wanted(connection, org_id, now, version)
        if wanted == now.version and now.state is not RuleState.REMOVED:
            raise OpsError(f"rule {rule!r} is at version {wanted} already")
        state = RuleState.DISABLED if now.state is RuleState.DISABLED else RuleState.ACTIVE
        target = await rule_versions.show(connection, org_id, rule, wanted)
        documents = _documents([(rule, wanted, target.source)])
        await rule_versions.revive(connection, org_id, rule, wanted, state)
        loads = await conditions.refresh_from_store(connection, org_id)
        warnings = await _warnings(connection, org_id, documents)
    return Changed(org_id, [RuleNow(rule, wanted, state, now.state)], warnings, loads)


async def _set_state(
    connection: Connection, org_id: str, names: Collection[str], state: RuleState
) -> Changed:
    async with connection.transaction():
        await connection.execute(conditions.LOCK_ORG, org_id)
        found = await _stored(connection, org_id, names)
        removed = [one.rule for one in found if one.state is RuleState.REMOVED]
        if removed:
            raise OpsError(
                f"rule {removed[0]!r} was removed: `penstock rules rollback {removed[0]}` or"
                " `penstock rules apply` brings it back"
            )
        documents = (
            _documents((one.rule, one.version, one.source) for one in found)
            if state is RuleState.ACTIVE
            else []
        )
        await rule_versions.set_state(connection, org_id, names, state)
        loads = await conditions.refresh_from_store(connection, org_id)
        warnings = await _warnings(connection, org_id, documents)
    rules = [RuleNow(one.rule, one.version, state, one.state) for one in found]
    return Changed(org_id, rules, warnings, loads)


async def _stored(connection: Connection, org_id: str, names: Iterable[str]) -> list[Stored]:
    stored = await rule_versions.read_stored(connection, org_id)
    for name in names:
        if name not in stored:
            raise await rule_versions.no_such_rule(connection, org_id, name)
    return [stored[name] for name in dict.fromkeys(names)]


async def _wanted(connection: Connection, org_id: str, now: Stored, version: int | None) -> int:
    if version is not None:
        return version
    if now.state is RuleState.REMOVED:
        return now.version
    known = await rule_versions.versions(connection, org_id, now.rule)
    earlier = [one.version for one in known if one.version < now.version]
    if not earlier:
        raise OpsError(f"rule {now.rule!r} has no version before {now.version}")
    return max(earlier)


def _documents(texts: Iterable[tuple[str, int, str]]) -> list[Sourced]:
    return [
        Sourced(source, document)
        for name, version, text in texts
        for source in (f"{name} version {version}",)
        for document in parse_documents(text, source)
    ]


async def _warnings(
    connection: Connection, org_id: str, documents: Collection[Sourced]
) -> list[Finding]:
    """Check rules that decide again: they did before, so nothing refuses them."""
    rules = rules_of(documents)
    catalog = await field_types.catalog(connection, org_id, objects_read(rules))
    others = await conditions.active_rules(connection, org_id)
    return [
        msgspec.structs.replace(finding, severity=Severity.WARNING)
        for finding in check(documents, catalog, others)
    ]
