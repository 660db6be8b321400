"""What applying documents does to an org's rules and sequences, before it is done."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ops.needed_loads import NeededLoad
from ops.rule_trial import LastDay
from rules import Rule, Sequence, parse_rules
from rules.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from rules import Document
    from rules.checks.check import Sourced


class RuleState(StrEnum):
    """What a version of a rule does; the versions that another one replaced are superseded."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    DISABLED = "disabled"
    REMOVED = "removed"


class Outcome(StrEnum):
    """What becomes of a rule or a sequence."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    REMOVED = "removed"


# The outcomes that make a new version.
WRITTEN: Final = frozenset({Outcome.ADDED, Outcome.CHANGED})


class Stored(NamedTuple):
    """The version of a rule that counts, and the highest number that any version of it has."""

    rule: str
    object: str
    version: int
    state: RuleState
    source: str
    newest: int


class PlannedRule(msgspec.Struct, frozen=True):
    """What becomes of one rule; if it is added or changed, what it would have done of late."""

    rule: str
    object: str
    version: int
    outcome: Outcome
    state: RuleState
    last_day: LastDay | None = None


class PlannedSequence(msgspec.Struct, frozen=True):
    """What becomes of the settings of one sequence."""

    sequence: str
    outcome: Outcome


class Plan(msgspec.Struct, frozen=True):
    """What becomes of everything; `dry_run`: nothing was done. Warnings refuse nothing.

    `loads` are those that it begins, since the org did not tell of what rules read from now on.
    """

    org_id: str
    dry_run: bool
    rules: list[PlannedRule]
    sequences: list[PlannedSequence]
    warnings: list[Finding]
    loads: list[NeededLoad] = []


def plan_rules(
    documents: Collection[Sourced], stored: Mapping[str, Stored], *, prune: bool
) -> Iterator[PlannedRule]:
    """Yield what becomes of the rules in documents, then of the org's others."""
    named: set[str] = set()
    for one in documents:
        rule = one.document.content
        if isinstance(rule, Rule):
            named.add(rule.name)
            yield _planned(rule, one.document, stored.get(rule.name))
    for name, other in stored.items():
        if name not in named and other.state is not RuleState.REMOVED:
            yield PlannedRule(
                name,
                other.object,
                other.version,
                Outcome.REMOVED if prune else Outcome.KEPT,
                RuleState.REMOVED if prune else other.state,
            )


def _planned(rule: Rule, document: Document, stored: Stored | None) -> PlannedRule:
    if stored is None:
        return PlannedRule(rule.name, rule.object.value, 1, Outcome.ADDED, RuleState.ACTIVE)
    next_version = stored.newest + 1
    if stored.state is RuleState.REMOVED:
        outcome, state = Outcome.ADDED, RuleState.ACTIVE
    elif _is_same(rule, document.text, stored.source):
        return PlannedRule(
            rule.name, rule.object.value, stored.version, Outcome.UNCHANGED, stored.state
        )
    else:
        # Whoever disabled it meant the rule, not one version of it.
        outcome, state = Outcome.CHANGED, stored.state
    return PlannedRule(rule.name, rule.object.value, next_version, outcome, state)


def _is_same(rule: Rule, text: str, source: str) -> bool:
    """Tell whether a document is the stored one, wherever in a file it stands."""
    if text == source:
        return True
    return _trimmed(text) == _trimmed(source) and parse_rules(source, "a stored rule") == [rule]


def _trimmed(text: str) -> str:
    return text.strip().removeprefix("---").lstrip()


def plan_sequences(
    documents: Collection[Sourced], stored: Mapping[str, str | None], *, prune: bool
) -> Iterator[PlannedSequence]:
    """Yield what becomes of sequences; `stored` has their documents by name.

    A sequence that was only paused has none.
    """
    named: set[str] = set()
    for one in documents:
        sequence = one.document.content
        if isinstance(sequence, Sequence):
            named.add(sequence.name)
            source = stored.get(sequence.name)
            if source is None:
                outcome = Outcome.ADDED
            elif _trimmed(source) == _trimmed(one.document.text):
                outcome = Outcome.UNCHANGED
            else:
                outcome = Outcome.CHANGED
            yield PlannedSequence(sequence.name, outcome)
    for name, source in stored.items():
        if source is not None and name not in named:
            yield PlannedSequence(name, Outcome.REMOVED if prune else Outcome.KEPT)
