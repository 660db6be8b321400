"""Rules that work against each other: one adds to a sequence whom another removes from it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from rules.checks.contradictions import field_key
from rules.model import AddToSequence, AllOf, AnyOf, Condition, Not, RemoveFromSequence, Webhook
from rules.values import text_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from pipeline.objects import SObject
    from rules.model import Clause, Rule

    # What two rules have to have in common: object, sequence, recipient, conditions.
    _Ground: TypeAlias = tuple[SObject, str, tuple[str, ...], Hashable]


class Conflict(NamedTuple):
    """`adding` and `removing` do so on one condition; both may be one rule."""

    adding: Rule
    removing: Rule
    sequence: str


def conflicts(rules: Iterable[Rule]) -> Iterator[Conflict]:
    """Yield each pair of rules that add to and remove from one sequence on the same condition.

    That is: changes of one object, an operation in common, the same recipient, and conditions
    that are the same whatever the order and the spelling they are written in.
    """
    adding: defaultdict[_Ground, list[Rule]] = defaultdict(list)
    removing: defaultdict[_Ground, list[Rule]] = defaultdict(list)
    for rule in rules:
        conditions = _all_form(rule.clauses)
        for action in rule.actions:
            match action:
                case AddToSequence() | RemoveFromSequence():
                    recipient = field_key(action.recipient)
                    ground = (rule.object, action.sequence, recipient, conditions)
                    side = adding if isinstance(action, AddToSequence) else removing
                    side[ground].append(rule)
                case Webhook():
                    pass
                case _:
                    assert_never(action)
    for ground, adders in adding.items():
        for adder in adders:
            for remover in removing.get(ground, ()):
                if adder.operations & remover.operations:
                    yield Conflict(adder, remover, ground[1])


def _form(clause: Clause) -> Hashable:
    """Return what is equal for clauses that are the same but for order and spelling."""
    match clause:
        case Condition():
            operands = clause.operand if isinstance(clause.operand, tuple) else (clause.operand,)
            return (
                field_key(clause.field),
                clause.operator.value,
                frozenset(enumerate(map(text_of, operands)))
                if clause.operator.value == "between"
                else frozenset(map(text_of, operands)),
            )
        case AllOf():
            return _all_form(clause.clauses)
        case AnyOf():
            forms = frozenset(map(_form, clause.clauses))
            return next(iter(forms)) if len(forms) == 1 else ("any", forms)
        case Not():
            inner = clause.clause
            return _form(inner.clause) if isinstance(inner, Not) else ("not", _form(inner))
    assert_never(clause)


def _all_form(clauses: Iterable[Clause]) -> Hashable:
    forms = frozenset(form for clause in _flat(clauses) for form in (_form(clause),))
    return next(iter(forms)) if len(forms) == 1 else ("all", forms)


def _flat(clauses: Iterable[Clause]) -> Iterator[Clause]:
    for clause in clauses:
        if isinstance(clause, AllOf):
            yield from _flat(clause.clauses)
        else:
            yield clause
