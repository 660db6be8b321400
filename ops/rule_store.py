"""Applying rules and sequences: all that some files hold in one transaction, or nothing."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ops import conditions, field_types, rule_versions, sequence_store
from ops.errors import OpsError
from ops.rule_files import (
    objects_read,
    read_documents,
    refuse_errors,
    rule_texts,
    rules_of,
    sequence_texts,
)
from ops.rule_plan import WRITTEN, Outcome, Plan, RuleState, plan_rules, plan_sequences
from ops.rule_trial import enrolments_of_last_day
from ops.rule_versions import NewVersion
from rules import parse_rules
from rules.checks.check import check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ops.needed_loads import NeededLoad
    from ops.rule_plan import Stored
    from ops.rule_trial import LastDay
    from pipeline.database import Connection
    from rules import Rule
    from rules.checks.catalog import Catalog
    from rules.checks.check import Sourced


class _Stored(NamedTuple):
    """What an org has: rules, and the documents of sequences, by name."""

    rules: dict[str, Stored]
    sequences: dict[str, str | None]


class _Intent(NamedTuple):
    """What is going to be done to what an org has; `others` are the rules that stay active."""

    stored: _Stored
    plan: Plan
    others: list[Rule]


async def apply(  # noqa: PLR0913  each is a choice of its own
    connection: Connection,
    org_id: str,
    texts: Iterable[tuple[str, str]],
    *,
    prune: bool = False,
    dry_run: bool = False,
    with_last_day: bool = False,
) -> Plan:
    """Apply (file name, YAML text) pairs, all or none; return what became of everything.

    `prune` removes what the org has besides, `dry_run` does nothing but say what would be done.
    `with_last_day`: look at the last day's changes for what new rules would have made of them,
    which takes up to 10 s. A disabled rule stays disabled. The org's conditions follow, and the
    loads that they need begin.

    Raises:
        rules.RuleError: with every mistake in the files, or everything in them that cannot be
            right in this org; nothing is applied.
        OpsError: two files hold a document of one name.
    """
    documents = read_documents(texts)
    catalog = await field_types.catalog(connection, org_id, objects_read(rules_of(documents)))
    stored = await _read(connection, org_id)
    intent = _intend(org_id, documents, catalog, stored, prune=prune)
    # Before the org is locked, since it takes its time.
    last_day = await _try(connection, org_id, documents, intent.plan) if with_last_day else {}
    if dry_run:
        loads = await conditions.needed_by(connection, org_id, _active(documents, intent))
    else:
        async with connection.transaction():
            await connection.execute(conditions.LOCK_ORG, org_id)
            stored = await _read(connection, org_id)
            if stored != intent.stored:  # somebody else was quicker
                intent = _intend(org_id, documents, catalog, stored, prune=prune)
            loads = await _write(connection, org_id, documents, intent)
    rules = [
        msgspec.structs.replace(one, last_day=last_day.get(one.rule)) for one in intent.plan.rules
    ]
    return msgspec.structs.replace(intent.plan, rules=rules, dry_run=dry_run, loads=loads)


async def _read(connection: Connection, org_id: str) -> _Stored:
    return _Stored(
        await rule_versions.read_stored(connection, org_id),
        await sequence_store.read(connection, org_id),
    )


def _intend(
    org_id: str, documents: Collection[Sourced], catalog: Catalog, stored: _Stored, *, prune: bool
) -> _Intent:
    """Plan, and check the documents against the org's types and the rules that stay.

    Raises:
        rules.RuleError: they cannot be right.
    """
    rules = list(plan_rules(documents, stored.rules, prune=prune))
    others = [
        rule
        for one in rules
        if one.outcome is Outcome.KEPT and one.state is RuleState.ACTIVE
        for rule in parse_rules(stored.rules[one.rule].source, f"rule {one.rule} as it is stored")
    ]
    findings = check(documents, catalog, others, zoneinfo.available_timezones())
    plan = Plan(
        org_id=org_id,
        dry_run=False,
        rules=rules,
        sequences=list(plan_sequences(documents, stored.sequences, prune=prune)),
        warnings=refuse_errors(findings),
    )
    return _Intent(stored, plan, others)


async def _try(
    connection: Connection, org_id: str, documents: Collection[Sourced], plan: Plan
) -> dict[str, LastDay]:
    written = {one.rule for one in plan.rules if one.outcome in WRITTEN}
    rules = [rule for rule in rules_of(documents) if rule.name in written]
    return await enrolments_of_last_day(connection, org_id, rules)


async def _write(
    connection: Connection, org_id: str, documents: Collection[Sourced], intent: _Intent
) -> list[NeededLoad]:
    texts = rule_texts(documents)
    planned = {one.rule: one for one in intent.plan.rules}
    written = [one for one in planned.values() if one.outcome in WRITTEN]
    for one in written:
        _check_alone(texts[one.rule])
    await rule_versions.add(
        connection,
        org_id,
        [
            NewVersion(one.rule, one.version, one.object, one.state, texts[one.rule].document.text)
            for one in written
        ],
    )
    removed = [one.rule for one in planned.values() if one.outcome is Outcome.REMOVED]
    await rule_versions.set_state(connection, org_id, removed, RuleState.REMOVED)
    await _write_sequences(connection, org_id, documents, intent.plan)
    return await conditions.refresh(connection, org_id, _active(documents, intent))


def _active(documents: Collection[Sourced], intent: _Intent) -> list[Rule]:
    states = {one.rule: one.state for one in intent.plan.rules}
    applied = [r for r in rules_of(documents) if states[r.name] is RuleState.ACTIVE]
    return [*applied, *intent.others]


async def _write_sequences(
    connection: Connection, org_id: str, documents: Collection[Sourced], plan: Plan
) -> None:
    texts = sequence_texts(documents)
    written = [one.sequence for one in plan.sequences if one.outcome in WRITTEN]
    await sequence_store.write(connection, org_id, [texts[name] for name in sorted(written)])
    removed = [one.sequence for one in plan.sequences if one.outcome is Outcome.REMOVED]
    await sequence_store.remove(connection, org_id, removed)


def _check_alone(one: Sourced) -> None:
    """Refuse a rule whose text means something else without its file: it is stored by itself."""
    if parse_rules(one.document.text, one.source) != [one.document.content]:
        name = one.document.content.name
        raise OpsError(f"{one.source}: rule {name!r} reads differently by itself")
