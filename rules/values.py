"""How values compare, as Salesforce compares them.

Types come from the record: an operand is prepared for every type that it can be read as, and
the record's value picks. What cannot be compared does not match; nothing here raises on any
record. Null is None, an absent field, or empty text. Where dates lie is in `rules.spans`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pipeline.objects import is_salesforce_id, long_id
from rules.temporal import day_of, instant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.change import Value
    from rules.model import Scalar

Test: TypeAlias = "Callable[[Value], bool]"
Number: TypeAlias = "int | Decimal"

_NUMBER: Final = re.compile(r"\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*", re.ASCII)
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

    Numbers order by value. Text orders as text, without regard to case, unless the operand is a
    number: then it counts as the number that it spells, if it spells one.
    """
    number = number_of(operand)
    text = text_of(operand)

    def holds_for_number(value: Value) -> bool:
        own = number_of(value)
        return own is not None and number is not None and holds(own, number)

    if not isinstance(operand, str):
        return holds_for_number

    def holds_for_either(value: Value) -> bool:
        if isinstance(value, str):
            return value != "" and holds(value.casefold(), text)
        return holds_for_number(value)

    return holds_for_either


def on_text(part: str, holds: Callable[[str, str], bool]) -> Test:
    """Return the test whether `holds(value, part)`, both case folded.

    Only text that is not null has parts, as SOQL's LIKE is for text alone.
    """
    folded = part.casefold()
    return lambda value: isinstance(value, str) and value != "" and holds(value.casefold(), folded)


def members_of(text: str) -> frozenset[str]:
    """Return the members of a multi-select picklist's `A;B`, case folded, without blank ones."""
    return frozenset(part for part in map(str.strip, text.casefold().split(";")) if part)


def including(operands: tuple[Scalar, ...]) -> Test:
    """Return the test whether every member of one of the operands is selected in the value."""
    wanted = tuple(members for members in map(members_of, map(str, operands)) if members)

    def includes(value: Value) -> bool:
        if not isinstance(value, str):
            return False
        selected = members_of(value)
        return any(members <= selected for members in wanted)

    return includes


def rise(old: Value, new: Value) -> int:
    """Return 1 where `new` is more or later than `old`, -1 where less or earlier, else 0.

    Numbers, dates and datetimes rise and fall, each against its own kind; text does not, whatever
    it spells.
    """
    pairs: tuple[tuple[Number | None, Number | None], ...]
    if isinstance(old, str) and isinstance(new, str):
        pairs = ((instant_of(old), instant_of(new)), (day_of(old), day_of(new)))
    elif isinstance(old, str) or isinstance(new, str):
        return 0
    else:
        pairs = ((number_of(old), number_of(new)),)
    for before, after in pairs:
        if before is not None and after is not None:
            return (after > before) - (after < before)
    return 0


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
