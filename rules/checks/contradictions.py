"""Conditions that can never hold together, and groups of them that always hold.

Clauses are multiplied out into branches, each a conjunction of conditions; a rule can never match
when every branch asks something impossible of one field. Where that is not certain, it is taken
to be possible.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from rules.checks.witnesses import Literal, is_possible
from rules.model import AllOf, AnyOf, Condition, Not
from rules.paths import Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rules.model import Clause

MAX_BRANCHES: Final = 256

Branch: TypeAlias = "tuple[Literal, ...]"
# What holds without asking anything.
_ALWAYS: Final[tuple[Branch, ...]] = ((),)


def never_matches(clauses: Iterable[Clause]) -> tuple[Condition, ...] | None:
    """Return conditions that exclude each other if the clauses can never hold together.

    They are those of the first branch; the other branches exclude themselves as well. None where
    the clauses may hold.
    """
    first: tuple[Condition, ...] | None = None
    for branch in _all(tuple(clauses), wanted=True):
        excluded = _contradiction(branch)
        if excluded is None:
            return None
        first = first or excluded
    return first


def always_holds(clause: Clause) -> bool:
    """Tell whether a clause holds whatever the record."""
    return never_matches((Not(clause),)) is not None


def field_key(text: str) -> tuple[str, ...]:
    """Return what is the same for two spellings of one field or path."""
    path = Path.parse(text)
    return tuple(name.casefold() for name in (*path.references, path.field))


def _branches(clause: Clause, *, wanted: bool) -> tuple[Branch, ...]:
    match clause:
        case Condition():
            return ((Literal(clause, wanted),),)
        case Not():
            return _branches(clause.clause, wanted=not wanted)
        case AllOf():
            return (_all if wanted else _any)(clause.clauses, wanted=wanted)
        case AnyOf():
            return (_any if wanted else _all)(clause.clauses, wanted=wanted)
    assert_never(clause)


def _any(clauses: Iterable[Clause], *, wanted: bool) -> tuple[Branch, ...]:
    """Return the branches of all clauses; beyond the bound, one that asks nothing."""
    branches = tuple(branch for clause in clauses for branch in _branches(clause, wanted=wanted))
    return branches if len(branches) <= MAX_BRANCHES else _ALWAYS


def _all(clauses: Iterable[Clause], *, wanted: bool) -> tuple[Branch, ...]:
    """Return each combination of the clauses' branches; what goes beyond the bound is left out."""
    combined = _ALWAYS
    for branches in sorted((_branches(clause, wanted=wanted) for clause in clauses), key=len):
        if len(combined) * len(branches) <= MAX_BRANCHES:
            combined = tuple(left + right for left, right in product(combined, branches))
    return combined


def _contradiction(branch: Branch) -> tuple[Condition, ...] | None:
    by_field: defaultdict[tuple[str, ...], list[Literal]] = defaultdict(list)
    for literal in branch:
        by_field[field_key(literal.condition.field)].append(literal)
    for literals in by_field.values():
        if len(literals) > 1 and not is_possible(literals):
            return tuple(literal.condition for literal in _narrowed(literals))
    return None


def _narrowed(literals: Sequence[Literal]) -> Iterator[Literal]:
    """Yield literals of which none can be left out without making the rest possible."""
    needed = list(literals)
    for literal in literals:
        rest = [other for other in needed if other is not literal]
        if not is_possible(rest):
            needed = rest
    yield from needed
