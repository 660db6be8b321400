"""How values compare, as Salesforce compares them.

Types come from the record: an operand is prepared for every type that it can be read as, and
the record's value picks. What cannot be compared does not match; nothing here raises on any
record. Null is None, an absent field, or empty text.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pipeline.objects import is_salesforce_id, long_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.change import Value
    from rules.model import Scalar

Test: TypeAlias = "Callable[[Value], bool]"
Number: TypeAlias = "int | Decimal"

_NUMBER: Final = re.compile(r"\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*", re.ASCII)
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[-+]\d\d:?\d\d)", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_BOOLEANS: Final = {"true": True, "false": False}
_ID_LENGTHS: Final = (15, 18)


def is_null(value: Value) -> bool:
    """Tell whether a record's value counts as null: absent, null or empty text."""
    return value is None or value == ""


def number_of(value: Value) -> Number | None:
    """Return the finite number that a value is or that its text spells; a boolean is none."""
    if type(value) is int:
        return value
    if type(value) is str and _NUMBER.fullmatch(value):
        try:
            value = Decimal(value)
        except InvalidOperation:  # an exponent beyond what Decimal holds
            return None
    return value if isinstance(value, Decimal) and value.is_finite() else None


def instant_of(value: Value) -> int | None:
    """Return the instant that a datetime with a zone names, in microseconds since 1970.

    Salesforce writes `2026-05-01T12:00:00.000+0000` and, in places, `Z`. A date is no instant.
    """
    if type(value) is not str or not _INSTANT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):  # a thirteenth month, an offset of a day
        return None


def text_of(operand: Scalar) -> str:
    """Return an operand as text, as a rule's author would have typed it, case folded."""
    return str(operand).casefold()


def _boolean_of(operand: Scalar) -> bool | None:
    return operand if isinstance(operand, bool) else _BOOLEANS.get(text_of(operand))


def equal_to(operands: tuple[Scalar, ...]) -> Test:
    """Return the test whether a value equals one of the operands, which are not null.

    Text is compared without regard to case, except a 15-character id with an 18-character one.
    """
    texts = frozenset(map(text_of, operands))
    numbers = frozenset(n for n in map(number_of, operands) if n is not None)
    booleans = frozenset(b for b in map(_boolean_of, operands) if b is not None)
    instants = frozenset(i for i in map(instant_of, operands) if i is not None)
    ids = frozenset(long_id(text) for text in map(str, operands) if is_salesforce_id(text))

    def equals_text(value: str) -> bool:
        return (
            value.casefold() in texts
            or (bool(instants) and instant_of(value) in instants)
            or (bool(ids) and len(value) in _ID_LENGTHS and long_id(value) in ids)
        )

    def equals(value: Value) -> bool:
        if isinstance(value, str):
            return equals_text(value)
        if isinstance(value, bool):
            return value in booleans
        if isinstance(value, int):
            return value in numbers
        return isinstance(value, Decimal) and value.is_finite() and value in numbers

    return equals


def ordered_against(operand: Scalar, holds: Callable[[Any, Any], bool]) -> Test:
    """Return the test whether `holds(value, operand)`; null and other types never do.

    Numbers and datetimes order by value. Text orders as text, without regard to case, unless
    the operand is a number: then it counts as the number that it spells, if it spells one.
    """
    number = number_of(operand)
    instant = instant_of(operand)
    text = text_of(operand)

    def holds_for_number(value: Value) -> bool:
        own = number_of(value)
        return own is not None and number is not None and holds(own, number)

    def holds_for_text(value: str) -> bool:
        if instant is not None and (own := instant_of(value)) is not None:
            return holds(own, instant)
        return value != "" and holds(value.casefold(), text)

    if not isinstance(operand, str):
        return holds_for_number

    def holds_for_either(value: Value) -> bool:
        return holds_for_text(value) if isinstance(value, str) else holds_for_number(value)

    return holds_for_either


def same(old: Value, new: Value) -> bool:
    """Tell whether nothing changed: case counts; numbers and datetimes go by value.

    Nested values are compared without recursion, since their depth is the sender's choice.
    """
    if not isinstance(old, list | dict):
        return _same_plain(old, new)
    pairs: list[tuple[Value, Value]] = [(old, new)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            pairs.extend(zip(one, other, strict=True))
        elif isinstance(one, dict) and isinstance(other, dict):
            pairs.extend((one.get(key), other.get(key)) for key in one.keys() | other.keys())
        elif not _same_plain(one, other):
            return False
    return True


def _same_plain(one: Value, other: Value) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one == other or ((at := instant_of(one)) is not None and at == instant_of(other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    number = number_of(one) if not isinstance(one, str) else None
    if number is not None:
        return not isinstance(other, str) and number == number_of(other)
    return is_null(one) and is_null(other)
