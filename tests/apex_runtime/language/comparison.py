"""When values are equal, identical or ordered, as the operators see them.

`==` compares Strings without their case, and everything but user-defined objects by value.
[langCon_apex_expressions_operators_understanding]
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import Id

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.values import Value

_REFERENCES = (ApexObject, SObject, ApexList, ApexSet, ApexMap)


def equal(left: Value, right: Value) -> bool:
    """Say what `==` says."""
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return _equal_texts(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, ApexList) and isinstance(right, ApexList):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, (int, float, Decimal)) and isinstance(right, (int, float, Decimal)):
        return left == right
    return left.__class__ is right.__class__ and left == right


def _equal_texts(left: str, right: str) -> bool:
    if left == right:
        return True
    if isinstance(left, Id) or isinstance(right, Id):
        # An id of 15 characters equals its long form, and capitals of ids count.
        return Id.valid(left) and Id.valid(right) and Id(left) == Id(right)
    return len(left) == len(right) and left.lower() == right.lower()


def identical(left: Value, right: Value) -> bool:
    """Say what `===` says: the same object, or the same primitive value."""
    if isinstance(left, _REFERENCES) or isinstance(right, _REFERENCES):
        return left is right
    return equal(left, right)


def ordered(left: Any, right: Any, holds: Callable[[Any, Any], bool]) -> bool:  # noqa: ANN401 (of ordered types)
    """Say what `<` and its like say: false with null, Strings without their case."""
    if left is None or right is None:
        return False
    if isinstance(left, str):
        return holds(left.lower(), right.lower())
    return holds(left, right)
