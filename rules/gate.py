"""What has to be so before a rule can match: what an index of many rules goes by.

A gate is necessary, never sufficient: a rule that it lets through is judged whole.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.objects import is_salesforce_id
from rules.model import READ_OLD, AllOf, Condition, Operator
from rules.paths import Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rules.model import Clause, Operand, Scalar
    from rules.values import Number

_FROM_A_NUMBER_ON: Final = frozenset({Operator.AT_LEAST, Operator.GREATER_THAN})
_NAMING: Final = frozenset({Operator.EQUALS, Operator.IN, Operator.CHANGED_TO})
_BOOLEANS: Final = frozenset({"true", "false"})


class Gate(NamedTuple):
    """What `field` has to be: changed, one of `texts` (case folded), or a number from `low` on.

    `texts` is empty and `low` None where the value does not matter.
    """

    field: str
    changes: bool
    texts: frozenset[str] = frozenset()
    low: Number | None = None


def gate_of(clauses: Iterable[Clause]) -> Gate | None:
    """Return the narrowest gate that the clauses, which all have to hold, allow; None if none."""
    gates = [gate for condition in _necessary(clauses) if (gate := _gate(condition)) is not None]
    return max(gates, key=_narrowness, default=None)


def _narrowness(gate: Gate) -> tuple[bool, bool]:
    return bool(gate.texts), gate.changes


def _necessary(clauses: Iterable[Clause]) -> Iterator[Condition]:
    for clause in clauses:
        if isinstance(clause, Condition):
            yield clause
        elif isinstance(clause, AllOf):
            yield from _necessary(clause.clauses)


def _gate(condition: Condition) -> Gate | None:
    field, operator, operand = condition.field, condition.operator, condition.operand
    if Path.parse(field).references:
        return None
    changes = operator in READ_OLD
    texts = plain_texts(operand) if operator in _NAMING else frozenset()
    if changes or texts:
        return Gate(field, changes, texts)
    if operator in _FROM_A_NUMBER_ON and isinstance(operand, int | Decimal):
        return Gate(field, changes=False, low=operand)
    return None


def plain_texts(operand: Operand) -> frozenset[str]:
    """Return the operands case folded, or nothing where one may equal more than its own text."""
    operands = operand if isinstance(operand, tuple) else (operand,)
    texts = frozenset(one.casefold() for one in operands if isinstance(one, str) and _is_plain(one))
    return texts if texts and all(map(_is_plain, operands)) else frozenset()


def _is_plain(operand: Scalar) -> bool:
    """Tell text that equals text alone: no number, boolean, id or moment is spelled like it."""
    return (
        isinstance(operand, str)
        and operand[:1].isalpha()
        and operand.casefold() not in _BOOLEANS
        and not is_salesforce_id(operand)
    )
