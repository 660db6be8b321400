"""The table of operators: what each takes, when it can hold, and the test it becomes."""

from __future__ import annotations

import operator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from pipeline.objects import Operation
from rules.model import Operator
from rules.patterns import whole_match
from rules.spans import position_of, prepare
from rules.temporal import point_of
from rules.values import equal_to, including, is_null, on_text, ordered_against, rise, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.change import Value
    from rules.model import Operand, Scalar
    from rules.moment import Moment
    from rules.temporal import Point
    from rules.values import Test

# A verdict on a field's value before and after the change, at the moment of the change.
Verdict: TypeAlias = "Callable[[Value, Value, Moment], bool]"
Build: TypeAlias = "Callable[[tuple[Scalar, ...]], Verdict]"


class OperandKind(Enum):
    """What an operator takes; `rules.operands` reads it and `rules.schema` describes it."""

    VALUE = auto()
    ORDERED_VALUE = auto()  # a number, a point in time or text: booleans have no order
    VALUES = auto()  # a list
    MEMBERS = auto()  # one value or a list: members of a multi-select picklist
    TEXT = auto()
    PATTERN = auto()  # what RE2 takes
    POINT = auto()  # a date, a datetime or a relative one
    RANGE = auto()  # a list of two numbers, or of two points in time, in order
    TRUE = auto()  # nothing but true: each such operator has an opposite to write instead


class OperatorSpec(NamedTuple):
    """One operator: `build` makes its verdict from the operands of one condition, once.

    `possible_on`: the operations of which the rule must name at least one, or the operator
    could never hold.
    """

    takes: OperandKind
    build: Build
    possible_on: frozenset[Operation] = frozenset(Operation)


def build_verdict(name: Operator, operand: Operand) -> Verdict:
    """Return the verdict of `name` with its operand prepared.

    Raises:
        PatternError: for a pattern that RE2 refuses.
    """
    return OPERATORS[name].build(operand if isinstance(operand, tuple) else (operand,))


def _equals(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(equal_to(operands))


def _not_equals(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(equal_to(operands), negated=True)


def _includes(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(including(operands))


def _excludes(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(including(operands), negated=True)


def _contains(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(on_text(str(operands[0]), operator.contains))


def _not_contains(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(on_text(str(operands[0]), operator.contains), negated=True)


def _starts_with(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(on_text(str(operands[0]), str.startswith))


def _ends_with(operands: tuple[Scalar, ...]) -> Verdict:
    return _of_new(on_text(str(operands[0]), str.endswith))


def _matches(operands: tuple[Scalar, ...]) -> Verdict:
    matches = whole_match(str(operands[0]))
    return lambda _old, new, _moment: isinstance(new, str) and new != "" and matches(new)


def _of_new(test: Test, *, negated: bool = False) -> Verdict:
    if negated:
        return lambda _old, new, _moment: not test(new)
    return lambda _old, new, _moment: test(new)


def _is_set(_: tuple[Scalar, ...]) -> Verdict:
    return lambda _old, new, _moment: not is_null(new)


def _is_empty(_: tuple[Scalar, ...]) -> Verdict:
    return lambda _old, new, _moment: is_null(new)


def _ordered(holds: Callable[[Any, Any], bool]) -> Build:
    """Return what builds an order; against a point in time it is the side on which values lie."""

    def build(operands: tuple[Scalar, ...]) -> Verdict:
        point = point_of(operands[0])
        if point is not None:
            return _positioned(point, holds)
        return _of_new(ordered_against(operands[0], holds))

    return build


def _positioned(point: Point, holds: Callable[[int, int], bool]) -> Verdict:
    find = prepare(point)

    def verdict(_old: Value, new: Value, moment: Moment) -> bool:
        if not isinstance(new, str):
            return False
        span = find(moment)
        position = position_of(new, span) if span is not None else None
        return position is not None and holds(position, 0)

    return verdict


def _between(operands: tuple[Scalar, ...]) -> Verdict:
    low, high = operands
    not_below, not_above = _at_least((low,)), _at_most((high,))
    return lambda old, new, moment: not_below(old, new, moment) and not_above(old, new, moment)


def _changed(_: tuple[Scalar, ...]) -> Verdict:
    return lambda old, new, _moment: not same(old, new)


def _changed_from(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda old, new, _moment: equal(old) and not equal(new)


def _changed_to(operands: tuple[Scalar, ...]) -> Verdict:
    equal = equal_to(operands)
    return lambda old, new, _moment: equal(new) and not equal(old)


def _increased(_: tuple[Scalar, ...]) -> Verdict:
    return lambda old, new, _moment: rise(old, new) > 0


def _decreased(_: tuple[Scalar, ...]) -> Verdict:
    return lambda old, new, _moment: rise(old, new) < 0


_greater_than: Final = _ordered(operator.gt)
_at_least: Final = _ordered(operator.ge)
_less_than: Final = _ordered(operator.lt)
_at_most: Final = _ordered(operator.le)

_UPDATE: Final = frozenset({Operation.UPDATE})
_BRINGS_STATE: Final = frozenset({Operation.INSERT, Operation.UPDATE, Operation.UNDELETE})

OPERATORS: Final[Mapping[Operator, OperatorSpec]] = {
    Operator.EQUALS: OperatorSpec(OperandKind.VALUE, _equals),
    Operator.NOT_EQUALS: OperatorSpec(OperandKind.VALUE, _not_equals),
    Operator.IN: OperatorSpec(OperandKind.VALUES, _equals),
    Operator.NOT_IN: OperatorSpec(OperandKind.VALUES, _not_equals),
    Operator.CONTAINS: OperatorSpec(OperandKind.TEXT, _contains),
    Operator.NOT_CONTAINS: OperatorSpec(OperandKind.TEXT, _not_contains),
    Operator.STARTS_WITH: OperatorSpec(OperandKind.TEXT, _starts_with),
    Operator.ENDS_WITH: OperatorSpec(OperandKind.TEXT, _ends_with),
    Operator.MATCHES: OperatorSpec(OperandKind.PATTERN, _matches),
    Operator.INCLUDES: OperatorSpec(OperandKind.MEMBERS, _includes),
    Operator.EXCLUDES: OperatorSpec(OperandKind.MEMBERS, _excludes),
    Operator.IS_SET: OperatorSpec(OperandKind.TRUE, _is_set),
    Operator.IS_EMPTY: OperatorSpec(OperandKind.TRUE, _is_empty),
    Operator.GREATER_THAN: OperatorSpec(OperandKind.ORDERED_VALUE, _greater_than),
    Operator.AT_LEAST: OperatorSpec(OperandKind.ORDERED_VALUE, _at_least),
    Operator.LESS_THAN: OperatorSpec(OperandKind.ORDERED_VALUE, _less_than),
    Operator.AT_MOST: OperatorSpec(OperandKind.ORDERED_VALUE, _at_most),
    Operator.BETWEEN: OperatorSpec(OperandKind.RANGE, _between),
    Operator.BEFORE: OperatorSpec(OperandKind.POINT, _less_than),
    Operator.AFTER: OperatorSpec(OperandKind.POINT, _greater_than),
    Operator.CHANGED: OperatorSpec(OperandKind.TRUE, _changed, _BRINGS_STATE),
    Operator.CHANGED_FROM: OperatorSpec(OperandKind.VALUE, _changed_from, _UPDATE),
    Operator.CHANGED_TO: OperatorSpec(OperandKind.VALUE, _changed_to, _BRINGS_STATE),
    Operator.INCREASED: OperatorSpec(OperandKind.TRUE, _increased, _UPDATE),
    Operator.DECREASED: OperatorSpec(OperandKind.TRUE, _decreased, _UPDATE),
}
