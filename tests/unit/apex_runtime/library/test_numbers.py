"""Numbers. [apex_methods_system_decimal, apex_methods_system_math]"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import Long

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Math.max(1, 2) + Math.min(1, 2)", 3),
        ("Math.max(1, 2L)", Long(2)),
        ("Math.max(1, 2.5)", Decimal("2.5")),
        ("Math.mod(-7, 3)", -1),
        ("Math.abs(-3)", 3),
        ("Math.ceil(1.2).intValue()", 2),
        ("Math.floor(-1.2).intValue()", -2),
        ("Math.round(2.5)", 3),
        ("Integer.valueOf('-12')", -12),
        ("Integer.valueOf((Object) 3)", 3),
        ("Long.valueOf('1795430400123')", Long(1795430400123)),
        ("Decimal.valueOf('1.50')", Decimal("1.50")),
        ("(1.005).setScale(2)", Decimal("1.01")),
        ("(1.50).scale()", 2),
        ("(10.0).divide(3, 2)", Decimal("3.33")),
        ("(2.7).intValue()", 2),
        ("(1.50).stripTrailingZeros().toPlainString()", "1.5"),
        ("(2.5).round()", Long(2)),
        ("Double.valueOf('1.5')", 1.5),
        ("(1234567).format()", "1,234,567"),
    ],
)
def test_methods_of_numbers(apex: Apex, expression: str, expected: object) -> None:
    value = apex.value(expression)
    assert value == expected
    assert type(value) is type(expected)
    assert str(value) == str(expected)
