"""Reads what stands after an operator, and says what the operator wants instead."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never

from rules.operators import OPERATORS, OperandKind
from rules.patterns import PatternError, whole_match
from rules.spans import never_in_order
from rules.temporal import MAX_RELATIVE_YEARS, is_meant_as_point, point_of
from rules.values import members_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rules.model import Operand, Operator, Scalar
    from rules.reading import Reading
    from rules.source import Node

_POINT: Final = (
    "a date such as 2026-05-01, a datetime with its time zone such as 2026-05-01T12:00:00Z, today,"
    f" now, or one such as '7 days ago' or '2 hours from now', at most {MAX_RELATIVE_YEARS:,}"
    " years away"
)
_NUMBER_OR_POINT: Final = f"numbers, or {_POINT}"
_RANGE_LENGTH: Final = 2


def read_operand(reading: Reading, operator: Operator, node: Node) -> Operand | None:
    """Read the operand of `operator`, or note a mistake and return None."""
    return _READERS[OPERATORS[operator].takes](reading, operator, node)


def _read_value(reading: Reading, operator: Operator, node: Node) -> Scalar | None:
    if node.content is None or node.content == "":
        reading.refuse(node.line, f"'{operator}' takes no empty value; ask with 'is_empty: true'")
    elif isinstance(node.content, str | int | Decimal):
        return node.content
    else:
        reading.refuse(node.line, f"'{operator}' takes one value at a time")
    return None


def _read_ordered(reading: Reading, operator: Operator, node: Node) -> Scalar | None:
    if isinstance(node.content, bool):
        reading.refuse(node.line, f"'{operator}' takes a number or text")
        return None
    value = _read_value(reading, operator, node)
    if isinstance(value, str) and is_meant_as_point(value):
        return _read_point(reading, operator, node)
    return value


def _read_values(reading: Reading, operator: Operator, node: Node) -> tuple[Scalar, ...] | None:
    nodes = reading.read_filled_list(node, f"'{operator}'")
    values = [_read_value(reading, operator, item) for item in nodes or ()]
    return tuple(value for value in values if value is not None) or None


def _read_members(reading: Reading, operator: Operator, node: Node) -> Operand | None:
    operand: Operand | None
    if isinstance(node.content, list):
        operand = _read_values(reading, operator, node)
    else:
        operand = _read_value(reading, operator, node)
    for value in operand if isinstance(operand, tuple) else (operand,):
        if value is not None and not members_of(str(value)):
            reading.refuse(node.line, f"'{operator}' takes a picklist's values, not '{value}'")
    return operand


def _read_text(reading: Reading, operator: Operator, node: Node) -> str | None:
    value = _read_value(reading, operator, node)
    if value is None or isinstance(value, str):
        return value
    reading.refuse(node.line, f"'{operator}' takes text, not {_shown(value)}; write it in quotes")
    return None


def _read_pattern(reading: Reading, operator: Operator, node: Node) -> str | None:
    pattern = _read_text(reading, operator, node)
    if pattern is None:
        return None
    try:
        whole_match(pattern)
    except PatternError as error:
        reading.refuse(node.line, f"'{operator}' takes a pattern as RE2 knows them: {error}")
        return None
    return pattern


def _read_point(
    reading: Reading, operator: Operator, node: Node, wanted: str = _POINT
) -> Scalar | None:
    value = _read_value(reading, operator, node)
    if value is None or point_of(value) is not None:
        return value
    reading.refuse(node.line, f"'{operator}' takes {wanted}; not {_shown(value)}")
    return None


def _read_range(reading: Reading, operator: Operator, node: Node) -> Operand | None:
    ends = node.content
    if not isinstance(ends, list) or len(ends) != _RANGE_LENGTH:
        reading.refuse(node.line, f"'{operator}' takes a list of two: the low end and the high end")
        return None
    low, high = (_read_end(reading, operator, end) for end in ends)
    if low is None or high is None:
        return None
    if isinstance(low, str) is not isinstance(high, str):
        reading.refuse(node.line, f"'{operator}' takes two numbers or two dates, not one of each")
        return None
    if _is_reversed(low, high):
        reading.refuse(
            node.line, f"'{operator}' takes the low end first: {low} is never at most {high}"
        )
        return None
    return (low, high)


def _read_end(reading: Reading, operator: Operator, node: Node) -> Scalar | None:
    if isinstance(node.content, int | Decimal) and not isinstance(node.content, bool):
        return node.content
    return _read_point(reading, operator, node, _NUMBER_OR_POINT)


def _is_reversed(low: Scalar, high: Scalar) -> bool:
    if isinstance(low, str) or isinstance(high, str):
        low_point, high_point = point_of(low), point_of(high)
        return (
            low_point is not None
            and high_point is not None
            and never_in_order(low_point, high_point)
        )
    return low > high


def _shown(value: Scalar) -> str:
    match value:
        case str():
            return f"'{value}'"
        case bool():
            return str(value).lower()
        case int() | Decimal():
            return str(value)
    assert_never(value)


def _read_true(reading: Reading, operator: Operator, node: Node) -> bool | None:
    if node.content is True:
        return True
    reading.refuse(node.line, f"'{operator}' takes nothing but true; put it under 'not' to negate")
    return None


_READERS: Final[Mapping[OperandKind, Callable[[Reading, Operator, Node], Operand | None]]] = {
    OperandKind.VALUE: _read_value,
    OperandKind.ORDERED_VALUE: _read_ordered,
    OperandKind.VALUES: _read_values,
    OperandKind.MEMBERS: _read_members,
    OperandKind.TEXT: _read_text,
    OperandKind.PATTERN: _read_pattern,
    OperandKind.POINT: _read_point,
    OperandKind.RANGE: _read_range,
    OperandKind.TRUE: _read_true,
}
