from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest

from rules.explain import MAX_VALUE_CHARACTERS, explain
from rules.match import Evidence
from rules.model import Operator

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Operand


def held(operator: Operator, operand: Operand, old: Value, new: Value) -> Evidence:
    return Evidence("F", operator, operand, old, new, verdict=True)


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        (held(Operator.EQUALS, "Hot", None, "hot"), "F 'hot' equals 'Hot'"),
        (held(Operator.NOT_EQUALS, True, None, None), "F (empty) does not equal true"),
        (held(Operator.IN, ("a", 1), None, 1), "F 1 is one of 'a', 1"),
        (held(Operator.NOT_IN, ("a",), None, "b"), "F 'b' is not one of 'a'"),
        (held(Operator.IS_SET, True, None, "x"), "F is set, to 'x'"),
        (held(Operator.IS_EMPTY, True, "x", ""), "F is empty"),
        (held(Operator.GREATER_THAN, 5, None, 6), "F 6 is greater than 5"),
        (held(Operator.AT_LEAST, 1000000, None, 1500000), "F 1500000 is at least 1000000"),
        (
            held(Operator.LESS_THAN, Decimal("0.5"), None, Decimal("0.10")),
            "F 0.10 is less than 0.5",
        ),
        (held(Operator.AT_MOST, 5, None, 4), "F 4 is at most 5"),
        (held(Operator.CHANGED, True, "a", "b"), "F changed from 'a' to 'b'"),
        (held(Operator.CHANGED_FROM, "a", "a", None), "F changed from 'a' to (empty)"),
        (
            held(Operator.CHANGED_TO, "Qualified", "Working", "Qualified"),
            "F changed from 'Working' to 'Qualified'",
        ),
    ],
)
def test_a_condition_that_held_is_said_in_english(evidence: Evidence, line: str) -> None:
    assert explain(evidence) == line


def failed(operator: Operator, operand: Operand, old: Value, new: Value) -> Evidence:
    return Evidence("F", operator, operand, old, new, verdict=False)


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        (failed(Operator.EQUALS, "Hot", None, "cold"), "F 'cold' does not equal 'Hot'"),
        (failed(Operator.NOT_EQUALS, "a", None, "A"), "F 'A' equals 'a'"),
        (failed(Operator.IN, ("a", 1), None, 2), "F 2 is not one of 'a', 1"),
        (failed(Operator.NOT_IN, ("a",), None, "a"), "F 'a' is one of 'a'"),
        (failed(Operator.IS_SET, True, None, None), "F is empty"),
        (failed(Operator.IS_EMPTY, True, None, "x"), "F is set, to 'x'"),
        (failed(Operator.GREATER_THAN, 5, None, 5), "F 5 is not greater than 5"),
        (failed(Operator.AT_LEAST, 5, None, None), "F (empty) is not at least 5"),
        (failed(Operator.LESS_THAN, 5, None, 5), "F 5 is not less than 5"),
        (failed(Operator.AT_MOST, 5, None, 6), "F 6 is not at most 5"),
        (failed(Operator.CHANGED, True, "a", "a"), "F did not change from 'a'"),
        (
            failed(Operator.CHANGED_FROM, "a", "b", "c"),
            "F did not change from 'a': it was 'b' and is 'c'",
        ),
        (
            failed(Operator.CHANGED_TO, "a", "a", "a"),
            "F did not change to 'a': it was 'a' and is 'a'",
        ),
    ],
)
def test_a_condition_that_failed_is_said_in_english(evidence: Evidence, line: str) -> None:
    assert explain(evidence) == line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a" * 1000, "'" + "a" * (MAX_VALUE_CHARACTERS - 2) + "…"),
        (Decimal("1E+999999"), "1E+999999"),
        ("\ud800\x1b", r"'\ud800\x1b'"),
        ([1, 2], "a list of 2"),
        ({"a": 1}, "a nested object"),
    ],
)
def test_a_value_is_shown_short_and_printable(value: Value, shown: str) -> None:
    line = explain(Evidence("F", Operator.EQUALS, "x", None, value, verdict=False))
    assert line == f"F {shown} does not equal 'x'"


def test_a_number_longer_than_python_prints_is_shown() -> None:
    line = explain(held(Operator.IS_SET, True, None, 10**5000))
    assert line == "F is set, to 1" + "0" * (MAX_VALUE_CHARACTERS - 2) + "…"


def test_evidence_survives_json() -> None:
    evidence = Evidence("F", Operator.IN, ("a", 1), None, Decimal("1.10"), verdict=False)
    text = msgspec.json.Encoder(decimal_format="number").encode(evidence)
    decoded = msgspec.json.Decoder(Evidence, float_hook=Decimal).decode(text)
    assert explain(decoded) == explain(evidence) == "F 1.10 is not one of 'a', 1"
