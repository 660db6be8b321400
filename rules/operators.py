"""The table of operators: what each takes, when it can hold, and the test it becomes."""

from __future__ import annotations

import operator
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pipeline.objects import Operation
from rules.model import Operator
from rules.values import equal_to, is_null, ordered_against, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.change import Value
    from rules.model import Operand, Scalar

# A verdict on a field's value before and after the change.
Verdict: TypeAlias = "Callable[[Value, Value], bool]"


class OperandKind(Enum):
    """What an operator takes."""

    VALUE = auto()
    ORDERED_VALUE = auto()  # a number or text: booleans have no order
    VALUES = auto()
    TRUE = auto()  # nothing but true: each such operator has an opposite to write instead


class OperatorSpec(NamedTuple):
    """One operator: `build` makes its verdict from the operands of one condition, once.

    `possible_on`: the operations of which the rule must name at least one, or the operator
    could never hold.
    """

    takes: OperandKind
    build: Callable[[tuple[Scalar, ...]], Verdict]
    possible_on: frozenset[Operation] = frozenset(Operation)


def build_verdict(name: Operator, operand: Operand) -> Verdict:
    """Return the verdict of `name` with its operand prepared."""
    return OPERATORS[name].build(operand if isinstance(operand, tuple) else (operand,))


def _equals(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda _, new: equal(new)


def _not_equals(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda _, new: not equal(new)


def _is_set(_: tuple[Scalar, ...]) -> Verdict:
    return lambda _, new: not is_null(new)


def _is_empty(_: tuple[Scalar, ...]) -> Verdict:
    return lambda _, new: is_null(new)


def _greater_than(operands: tuple[Scalar, ...]) -> Verdict:
    test = ordered_against(operands[0], operator.gt)
    return lambda _, new: test(new)


def _at_least(operands: tuple[Scalar, ...]) -> Verdict:
    test = ordered_against(operands[0], operator.ge)
    return lambda _, new: test(new)


def _less_than(operands: tuple[Scalar, ...]) -> Verdict:
    test = ordered_against(operands[0], operator.lt)
    return lambda _, new: test(new)


def _at_most(operands: tuple[Scalar, ...]) -> Verdict:
    test = ordered_against(operands[0], operator.le)
    return lambda _, new: test(new)


def _changed(_: tuple[Scalar, ...]) -> Verdict:
    return lambda old, new: not same(old, new)


def _changed_from(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda old, new: equal(old) and not equal(new)


def _changed_to(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda old, new: equal(new) and not equal(old)


_UPDATE: Final = frozenset({Operation.UPDATE})
_NOT_DELETE: Final = frozenset(Operation) - {Operation.DELETE}

OPERATORS: Final[Mapping[Operator, OperatorSpec]] = {
    Operator.EQUALS: OperatorSpec(OperandKind.VALUE, _equals),
    Operator.NOT_EQUALS: OperatorSpec(OperandKind.VALUE, _not_equals),
    Operator.IN: OperatorSpec(OperandKind.VALUES, _equals),
    Operator.NOT_IN: OperatorSpec(OperandKind.VALUES, _not_equals),
    Operator.IS_SET: OperatorSpec(OperandKind.TRUE, _is_set),
    Operator.IS_EMPTY: OperatorSpec(OperandKind.TRUE, _is_empty),
    Operator.GREATER_THAN: OperatorSpec(OperandKind.ORDERED_VALUE, _greater_than),
    Operator.AT_LEAST: OperatorSpec(OperandKind.ORDERED_VALUE, _at_least),
    Operator.LESS_THAN: OperatorSpec(OperandKind.ORDERED_VALUE, _less_than),
    Operator.AT_MOST: OperatorSpec(OperandKind.ORDERED_VALUE, _at_most),
    Operator.CHANGED: OperatorSpec(OperandKind.TRUE, _changed, _NOT_DELETE),
    Operator.CHANGED_FROM: OperatorSpec(OperandKind.VALUE, _changed_from, _UPDATE),
    Operator.CHANGED_TO: OperatorSpec(OperandKind.VALUE, _changed_to, _NOT_DELETE),
}
