"""Operators: arithmetic by the operands' types, comparison, logic.

[langCon_apex_expressions_operators]
"""

from __future__ import annotations

import decimal
import operator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer, throw
from tests.apex_runtime.language.code import Code, Frame, Operation
from tests.apex_runtime.language.comparison import equal, identical, ordered
from tests.apex_runtime.language.conversion import converter, same, wrapped
from tests.apex_runtime.language.expressions import compile_value, expression
from tests.apex_runtime.language.text import text_of
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, Long
from tests.apex_runtime.types import (
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    DOUBLE,
    ID,
    INTEGER,
    LONG,
    NULL,
    OBJECT,
    STRING,
    TIME,
    ApexType,
    Kind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node

_RANK = {INTEGER: 0, LONG: 1, DOUBLE: 2, DECIMAL: 3}
_TYPES = (INTEGER, LONG, DOUBLE, DECIMAL)
_INT_BITS = 32
_LONG_BITS = 64
_DIVISION = decimal.Context(prec=33, rounding=decimal.ROUND_HALF_EVEN)
_DAY_MS = 86_400_000


def _divide(left: int, right: int) -> int:
    """Divide whole numbers towards zero."""
    if right == 0:
        throw("MathException", "Divide by 0")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    if right == 0:
        throw("MathException", "Divide by 0")
    return _DIVISION.divide(left, right)


def _real_quotient(left: float, right: float) -> float:
    if right == 0:
        throw("MathException", "Divide by 0")
    return left / right


_WHOLE: dict[str, Callable[[Any, Any], Any]] = {
    "ADDITION": operator.add,
    "SUBTRACTION": operator.sub,
    "MULTIPLICATION": operator.mul,
    "DIVISION": _divide,
    "AND": operator.and_,
    "OR": operator.or_,
    "XOR": operator.xor,
}
_BITWISE = frozenset({"AND", "OR", "XOR"})
_ARITHMETIC = {name: function for name, function in _WHOLE.items() if name not in _BITWISE}
_BROKEN: dict[ApexType, dict[str, Callable[[Any, Any], Any]]] = {
    DECIMAL: {**_ARITHMETIC, "DIVISION": _quotient},
    DOUBLE: {**_ARITHMETIC, "DIVISION": _real_quotient},
}
_SHIFTS = frozenset({"LEFT_SHIFT", "RIGHT_SHIFT", "UNSIGNED_RIGHT_SHIFT"})


def _shift(op: str, number: int, places: int, bits: int) -> int:
    places %= bits
    match op:
        case "LEFT_SHIFT":
            return wrapped(number << places, bits)
        case "RIGHT_SHIFT":
            return number >> places
        case _:
            return wrapped((number % (1 << bits)) >> places, bits)


def operation(
    scope: Scope, node: Node, op: str, left: ApexType, right: ApexType
) -> tuple[ApexType, Operation]:
    """Return what an operator of `BinaryOp` does with operands of two types, and its type."""
    if op == "ADDITION" and STRING in {left, right}:
        return STRING, lambda f, a, b: text_of(f[0], a) + text_of(f[0], b)
    if left in _RANK and right in _RANK:
        return _numeric(scope, node, op, left, right)
    if left == BOOLEAN == right and op in _BITWISE:
        return BOOLEAN, _of_present(_WHOLE[op])
    if left in {DATE, DATETIME, TIME} and right in _RANK and op in {"ADDITION", "SUBTRACTION"}:
        sign = 1 if op == "ADDITION" else -1
        return left, _of_present(lambda moment, amount: _later(moment, amount, sign))
    raise scope.refused(node, f"Operator {op} on {left} and {right}")


def _of_present(compute: Callable[[Any, Any], Any]) -> Operation:
    """Return an operation that refuses null."""

    def operate(_: Frame, a: Any, b: Any) -> Any:  # noqa: ANN401 (Values)
        if a is None or b is None:
            null_pointer()
        return compute(a, b)

    return operate


def _numeric(
    scope: Scope, node: Node, op: str, left: ApexType, right: ApexType
) -> tuple[ApexType, Operation]:
    type_ = _TYPES[max(_RANK[left], _RANK[right])]
    if type_ not in _BROKEN:
        if op in _SHIFTS:
            return left, _shifting(op, left)
        return type_, _counting(_WHOLE[op], type_)
    if op not in _BROKEN[type_]:
        raise scope.refused(node, f"Operator {op} on {left} and {right}")
    to_left = converter(scope.world, left, type_) or same
    to_right = converter(scope.world, right, type_) or same
    compute = _BROKEN[type_][op]
    return type_, _of_present(lambda a, b: compute(to_left(a), to_right(b)))


def _shifting(op: str, type_: ApexType) -> Operation:
    bits, make = (_INT_BITS, int) if type_ == INTEGER else (_LONG_BITS, Long)
    return _of_present(lambda a, b: make(_shift(op, a, b, bits)))


def _counting(compute: Callable[[int, int], int], type_: ApexType) -> Operation:
    """Return an operation on whole numbers, whose result wraps around."""
    bits = _INT_BITS if type_ == INTEGER else _LONG_BITS
    low, high = -(1 << (bits - 1)), 1 << (bits - 1)

    def count(_: Frame, a: int | None, b: int | None) -> int:
        if a is None or b is None:
            null_pointer()
        result = compute(a, b)
        return result if low <= result < high else wrapped(result, bits)

    if type_ == INTEGER:
        return count
    return lambda f, a, b: Long(count(f, a, b))


def _later(moment: Any, amount: Any, sign: int) -> Any:  # noqa: ANN401 (a Date, Datetime or Time)
    """Add days to a Date or Datetime, ms to a Time."""
    match moment:
        case ApexDatetime():
            return ApexDatetime(moment.ms + sign * int(amount * _DAY_MS))
        case ApexTime():
            return moment.plus(sign * int(amount))
        case _:
            return moment.fromordinal(moment.toordinal() + sign * int(amount))


@expression("BinaryExpr")
def binary(node: Node, scope: Scope) -> Code:
    """Compile an operator that computes."""
    left, right = compile_value(node["left"], scope), compile_value(node["right"], scope)
    type_, compute = operation(scope, node, node["op"]["$"], left.type, right.type)
    first, second = left.run, right.run
    return Code(type_, lambda f: compute(f, first(f), second(f)))


@expression("BooleanExpr")
def boolean(node: Node, scope: Scope) -> Code:
    """Compile an operator that compares, or joins conditions."""
    left, right = compile_value(node["left"], scope), compile_value(node["right"], scope)
    op = node["op"]["$"]
    first, second = left.run, right.run
    if op in {"AND", "OR"}:
        if (left.type, right.type) != (BOOLEAN, BOOLEAN):
            raise scope.refused(node, f"{op} of {left.type} and {right.type}")
        return Code(BOOLEAN, _joined(first, second, stops_at=op == "OR"))
    _check_comparable(scope, node, op, left.type, right.type)
    if op not in _COMPARISONS:
        raise scope.refused(node, f"operator {op}", modelled=False)
    compare = _COMPARISONS[op]
    return Code(BOOLEAN, lambda f: compare(first(f), second(f)))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "DOUBLE_EQUAL": equal,
    "NOT_EQUAL": lambda a, b: not equal(a, b),
    "ALT_NOT_EQUAL": lambda a, b: not equal(a, b),
    "TRIPLE_EQUAL": identical,
    "NOT_TRIPLE_EQUAL": lambda a, b: not identical(a, b),
    "LESS_THAN": lambda a, b: ordered(a, b, operator.lt),
    "LESS_THAN_EQUAL": lambda a, b: ordered(a, b, operator.le),
    "GREATER_THAN": lambda a, b: ordered(a, b, operator.gt),
    "GREATER_THAN_EQUAL": lambda a, b: ordered(a, b, operator.ge),
}


def _joined(
    first: Callable[[Frame], Any], second: Callable[[Frame], Any], *, stops_at: bool
) -> Callable[[Frame], bool]:
    def join(f: Frame) -> bool:
        value: bool | None = first(f)
        if value is stops_at:
            return stops_at
        other: bool | None = second(f) if value is not None else None
        if other is None:
            null_pointer()
        return other

    return join


_ORDERED = frozenset({STRING, ID, DATE, DATETIME, TIME})


def _check_comparable(scope: Scope, node: Node, op: str, left: ApexType, right: ApexType) -> None:
    """Refuse to compare what has nothing in common."""
    numbers = left in _RANK and right in _RANK
    if "EQUAL" in op and not op.startswith(("LESS", "GREATER")):
        related = (
            numbers
            or OBJECT in (left, right)
            or converter(scope.world, left, right) is not None
            or converter(scope.world, right, left) is not None
            or Kind.CLASS in (left.kind, right.kind)
        )
    else:
        both_ordered = left in _ORDERED and right in _ORDERED
        related = (
            numbers
            or NULL in (left, right)
            or (both_ordered and converter(scope.world, left, right) is not None)
            or (both_ordered and converter(scope.world, right, left) is not None)
        )
    if not related:
        raise scope.refused(node, f"Comparison arguments must be compatible types: {left}, {right}")
