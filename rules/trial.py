"""What a trial tells of a rule's clauses: as its author wrote them, and what decided one."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from rules.compile import conditions_of
from rules.model import READ_OLD, AllOf, AnyOf, Condition, Not
from rules.paths import Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.match import Evidence, Traced
    from rules.model import Clause, Operand, Rule, Scalar


def describe(clause: Clause) -> str:
    """Return a clause as it stands in the rule: `Status changed_to Qualified`."""
    match clause:
        case Condition():
            return f"{clause.field} {clause.operator} {_shown(clause.operand)}"
        case AllOf():
            return f"all: [{_joined(clause.clauses)}]"
        case AnyOf():
            return f"any: [{_joined(clause.clauses)}]"
        case Not():
            return f"not: {describe(clause.clause)}"
    assert_never(clause)


def _joined(clauses: Iterable[Clause]) -> str:
    return ", ".join(map(describe, clauses))


def _shown(operand: Operand) -> str:
    if isinstance(operand, tuple):
        return f"[{', '.join(map(_shown_one, operand))}]"
    return _shown_one(operand)


def _shown_one(operand: Scalar) -> str:
    return str(operand).lower() if isinstance(operand, bool) else str(operand)


def names_with_old(rule: Rule) -> frozenset[str]:
    """Return the record's own fields of which the value before a change matters to a rule."""
    paths = [
        Path.parse(condition.field)
        for condition in conditions_of(rule.clauses)
        if condition.operator in READ_OLD
    ]
    return frozenset((*path.references, path.field)[0] for path in paths)


def decisive(traced: Traced) -> Iterator[Evidence]:
    """Yield the conditions that made a clause come out as it did."""
    match traced.kind:
        case "condition":
            if traced.evidence is not None:
                yield traced.evidence
        case "not":
            yield from _decisive_of(traced.clauses)
        case "all" | "any":
            # One clause is enough to fail `all` or to fulfil `any`; the opposite takes every one.
            settles = traced.kind == "any"
            alone = [one for one in traced.clauses if one.verdict is settles]
            yield from _decisive_of(alone if traced.verdict is settles else traced.clauses)
        case _:
            assert_never(traced.kind)


def _decisive_of(clauses: Iterable[Traced]) -> Iterator[Evidence]:
    for clause in clauses:
        yield from decisive(clause)
