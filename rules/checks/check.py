"""Checks of whole documents against what is known of an org: its fields and its other rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from rules.checks.conflicts import conflicts
from rules.checks.contradictions import always_holds, never_matches
from rules.checks.findings import Finding, Severity
from rules.checks.resolve import resolve
from rules.checks.types import type_problems
from rules.compile import conditions_of
from rules.mistakes import near_name
from rules.model import (
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    Not,
    RemoveFromSequence,
    Rule,
    Sequence,
    Webhook,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from rules.checks.catalog import Catalog
    from rules.model import Clause
    from rules.parse import Document


class Sourced(NamedTuple):
    """A document and the name of the text that it stands in, usually a file's."""

    source: str
    document: Document

    def finding(self, severity: Severity, message: str, at: object = None) -> Finding:
        """Return a finding on the line of a condition or a field's text, else the first line."""
        line = self.document.lines.get(at, self.document.line)
        return Finding(severity, self.source, line, message)


def check(
    documents: Collection[Sourced],
    catalog: Catalog,
    existing: Iterable[Rule] = (),
    time_zones: Collection[str] = (),
) -> list[Finding]:
    """Return what is wrong with documents, in their order.

    `existing`: the org's other active rules. `time_zones`: the names that there are.
    """
    findings = [
        finding for one in documents for finding in _document_findings(one, catalog, time_zones)
    ]
    return [*findings, *_conflicts(documents, existing)]


def _document_findings(
    one: Sourced, catalog: Catalog, time_zones: Collection[str]
) -> Iterator[Finding]:
    content = one.document.content
    match content:
        case Rule():
            yield from _condition_findings(one, content, catalog)
            yield from _action_findings(one, content, catalog)
            yield from _logic_findings(one, content)
        case Sequence():
            zone = content.quiet_hours.time_zone if content.quiet_hours is not None else None
            if zone is not None and zone not in time_zones:
                near = near_name(zone, time_zones)
                yield one.finding(Severity.ERROR, f"unknown time zone '{zone}'{near}", zone)
        case _:
            assert_never(content)


def _condition_findings(one: Sourced, rule: Rule, catalog: Catalog) -> Iterator[Finding]:
    for condition in dict.fromkeys(conditions_of(rule.clauses)):
        field = resolve(catalog, rule.object, condition.field)
        problems = [field.problem] if field.problem else type_problems(condition, field)
        for severity, message in problems:
            yield one.finding(severity, message, condition)


def _action_findings(one: Sourced, rule: Rule, catalog: Catalog) -> Iterator[Finding]:
    for action in rule.actions:
        match action:
            case AddToSequence():
                yield from _recipient_findings(one, rule, action.recipient, catalog)
                read: Iterable[str] = action.variables.values()
            case RemoveFromSequence():
                yield from _recipient_findings(one, rule, action.recipient, catalog)
                read = ()
            case Webhook():
                read = action.fields.values()
            case _:
                assert_never(action)
        for text in read:
            problem = resolve(catalog, rule.object, text).problem
            if problem is not None:
                yield one.finding(*problem, text)


def _recipient_findings(one: Sourced, rule: Rule, text: str, catalog: Catalog) -> Iterator[Finding]:
    field = resolve(catalog, rule.object, text)
    if field.problem is not None:
        yield one.finding(*field.problem, text)
    elif field.is_no_address:
        message = f"the recipient '{text}' {field.type_name}, which need not hold an address"
        yield one.finding(Severity.WARNING, message, text)


def _logic_findings(one: Sourced, rule: Rule) -> Iterator[Finding]:
    excluded = never_matches(rule.clauses)
    if excluded is not None:
        shown = " and ".join(f"'{_shown(condition)}'" for condition in excluded)
        message = f"rule '{rule.name}' can never match: {shown} exclude each other"
        yield one.finding(Severity.ERROR, message, excluded[-1])
        return
    for group in _groups(rule.clauses):
        if always_holds(group):
            first = next(conditions_of((group,)), None)
            yield one.finding(Severity.WARNING, "this group of conditions always holds", first)


def _groups(clauses: Iterable[Clause]) -> Iterator[Clause]:
    """Yield every group that could be left out, the outermost of them alone."""
    for clause in clauses:
        match clause:
            case Condition():
                continue
            case AllOf():
                yield from _groups(clause.clauses)
            case AnyOf() | Not():
                yield clause
            case _:
                assert_never(clause)


def _conflicts(documents: Iterable[Sourced], existing: Iterable[Rule]) -> Iterator[Finding]:
    given = {
        one.document.content.name: one
        for one in documents
        if isinstance(one.document.content, Rule)
    }
    others = [rule for rule in existing if rule.name not in given]
    rules = [one.document.content for one in given.values()]
    for adding, removing, sequence in conflicts(
        [*(rule for rule in rules if isinstance(rule, Rule)), *others]
    ):
        # The finding stands where the second of the two does; one of them may stand in the org.
        places = [name for name in given if name in {adding.name, removing.name}]
        if not places:
            continue
        one = given[places[-1]]
        if adding.name == removing.name:
            message = f"rule '{adding.name}' both adds to sequence '{sequence}' and removes from it"
        else:
            message = (
                f"rule '{removing.name}' removes from sequence '{sequence}' whom rule"
                f" '{adding.name}' adds on the same condition"
                f"{_elsewhere(places, {adding.name, removing.name}, given)}"
            )
        yield one.finding(Severity.ERROR, message, sequence)


def _elsewhere(places: list[str], names: set[str], given: dict[str, Sourced]) -> str:
    (other,) = names - {places[-1]}
    if other not in given:
        return f"; '{other}' is active"
    return f"; '{other}' stands in {given[other].source}:{given[other].document.line}"


def _shown(condition: Condition) -> str:
    operand = condition.operand
    if isinstance(operand, tuple):
        return f"{condition.field} {condition.operator} {', '.join(map(str, operand))}"
    shown = str(operand).lower() if isinstance(operand, bool) else str(operand)
    return f"{condition.field} {condition.operator} {shown}"
