"""Numbers, currency, percent and checkboxes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.unit.rules.cases.case import Source, table, values

if TYPE_CHECKING:
    from pipeline.change import Value

ADDRESS: Value = {"city": "Berlin"}
LOCATION: Value = {"latitude": 52}
LIST: Value = ["A"]

NUMBERS = table(
    values(
        Source.SOQL_COMPARISON,
        ("equals", 1000, 1000, True),
        ("equals", 1000, 1001, False),
        ("equals", 0, 0, True, "zero is a value"),
        ("equals", Decimal("0.5"), Decimal("0.50"), True),
        ("equals", 1, Decimal("1.00"), True, "currency comes with its decimals"),
        ("not_equals", 1, Decimal("1.00"), False),
        ("not_equals", 1, 2, True),
        ("in", (1, 2), 2, True),
        ("in", (1, 2), 3, False),
        ("not_in", (1, 2), 3, True),
        ("greater_than", 1000000, 1000000, False, "the bound is left out"),
        ("greater_than", 1000000, Decimal("1000000.01"), True),
        ("at_least", 1000000, 1000000, True, "the bound belongs to it"),
        ("at_least", 1000000, Decimal("999999.99"), False),
        ("less_than", 0, -1, True),
        ("less_than", 0, 0, False),
        ("at_most", 0, 0, True),
        ("at_most", 0, Decimal("0.01"), False),
        ("greater_than", -5, -4, True),
        ("between", (10, 20), 10, True, "both ends belong to it"),
        ("between", (10, 20), 20, True),
        ("between", (10, 20), Decimal("9.99"), False),
        ("between", (10, 20), Decimal("20.01"), False),
        ("between", (10, 10), 10, True),
        ("between", (-1, Decimal("0.5")), 0, True),
    ),
    values(
        Source.APEX_TYPES,
        ("equals", Decimal("0.3"), Decimal("0.1") + Decimal("0.2"), True, "no binary fractions"),
        ("equals", 9007199254740993, 9007199254740992, False, "beyond a double's 53 bits"),
        ("greater_than", 9007199254740992, 9007199254740993, True),
        ("at_most", Decimal("0.1"), Decimal("0.10000000000000000001"), False),
        ("equals", Decimal("1E+3"), 1000, True),
    ),
    values(
        Source.SOQL_FIELD_EXPRESSION,
        ("greater_than", 1000, "900", False, "a text field that spells a number"),
        ("greater_than", 800, "900", True),
        ("greater_than", 1000, "many", False),
        ("at_least", 5, " 7 ", True),
        ("greater_than", "1000", "900", True, "in quotes, text is ordered as text"),
        ("greater_than", "1000", 900, False, "a number stays one"),
        ("between", (10, 20), "15", True),
        ("between", (10, 20), "150", False),
        ("at_least", 1, "1,000", False, "grouped digits spell no number"),
        otherwise="SOQL refuses a literal of another type; here the record's type reads it",
    ),
    values(
        Source.FIELD_TYPES,
        ("equals", True, True, True, "a checkbox"),
        ("equals", True, False, False),
        ("equals", False, False, True, "a checkbox is never empty"),
        ("not_equals", True, False, True),
        ("in", (True, False), False, True),
        ("is_set", True, False, True),
        ("is_empty", True, False, False),
    ),
    values(
        Source.APEX_OPERATORS,
        ("greater_than", 0, True, False, "booleans have no order"),
        ("at_least", "a", True, False),
        ("equals", 1, True, False, "nor are they numbers"),
        ("equals", True, 1, False),
        ("between", (0, 1), True, False),
    ),
    values(
        Source.FIELD_TYPES,
        ("equals", "Berlin", ADDRESS, False),
        ("greater_than", 0, LOCATION, False),
        ("contains", "Berlin", ADDRESS, False),
        ("is_set", True, ADDRESS, True, "a compound field is set, and no more is asked"),
        ("includes", "A", LIST, False),
    ),
)
