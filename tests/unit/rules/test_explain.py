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
        (held(Operator.CONTAINS, "ee", None, "tree"), "F 'tree' contains 'ee'"),
        (held(Operator.NOT_CONTAINS, "a", None, None), "F (empty) does not contain 'a'"),
        (held(Operator.STARTS_WITH, "tr", None, "tree"), "F 'tree' starts with 'tr'"),
        (held(Operator.ENDS_WITH, "ee", None, "tree"), "F 'tree' ends with 'ee'"),
        (held(Operator.MATCHES, r"\d+", None, "12"), r"F '12' matches '\\d+'"),
        (held(Operator.INCLUDES, ("A;B", 7), None, "A;B;C"), "F 'A;B;C' includes 'A;B', 7"),
        (held(Operator.EXCLUDES, "A", None, "B"), "F 'B' does not include 'A'"),
        (held(Operator.BETWEEN, (1, 5), None, 5), "F 5 is between 1 and 5"),
        (
            held(Operator.BEFORE, "7 days ago", None, "2026-05-01"),
            "F '2026-05-01' is before '7 days ago'",
        ),
        (held(Operator.AFTER, "today", None, "2026-05-09"), "F '2026-05-09' is after 'today'"),
        (held(Operator.INCREASED, True, 1, Decimal("1.5")), "F increased from 1 to 1.5"),
        (held(Operator.DECREASED, True, 2, 1), "F decreased from 2 to 1"),
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
        (failed(Operator.CONTAINS, "a", None, "tree"), "F 'tree' does not contain 'a'"),
        (failed(Operator.NOT_CONTAINS, "ee", None, "tree"), "F 'tree' contains 'ee'"),
        (failed(Operator.STARTS_WITH, "a", None, None), "F (empty) does not start with 'a'"),
        (failed(Operator.ENDS_WITH, "a", None, "tree"), "F 'tree' does not end with 'a'"),
        (failed(Operator.MATCHES, "a", None, "tree"), "F 'tree' does not match 'a'"),
        (failed(Operator.INCLUDES, "A", None, "B"), "F 'B' does not include 'A'"),
        (failed(Operator.EXCLUDES, "A", None, "A;B"), "F 'A;B' includes 'A'"),
        (failed(Operator.BETWEEN, (1, 5), None, 6), "F 6 is not between 1 and 5"),
        (failed(Operator.BEFORE, "now", None, None), "F (empty) is not before 'now'"),
        (failed(Operator.AFTER, "today", None, "x"), "F 'x' is not after 'today'"),
        (failed(Operator.INCREASED, True, 2, 1), "F did not increase: it was 2 and is 1"),
        (
            failed(Operator.DECREASED, True, None, 1),
            "F did not decrease: it was (empty) and is 1",
        ),
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


@pytest.mark.parametrize("operator", Operator)
def test_every_operator_has_its_words_for_either_verdict(operator: Operator) -> None:
    operand: Operand = (1, 2) if operator is Operator.BETWEEN else "x"
    lines = {
        explain(Evidence("F", operator, operand, "old", new, verdict=verdict))
        for new, verdict in (("new", True), (None, False))
    }
    assert len(lines) == 2
    assert all(line.startswith("F ") for line in lines)


def test_a_value_from_a_lookup_names_the_record_and_its_version() -> None:
    evidence = Evidence(
        "Account.Industry",
        Operator.EQUALS,
        "Banking",
        None,
        "banking",
        verdict=True,
        parent_id="0015g00000AbCdEAAV",
        parent_captured_at=1778254200007,
    )
    line = "Account.Industry 'banking' equals 'Banking'"
    assert explain(evidence) == f"{line} (in 0015g00000AbCdEAAV as of 2026-05-08T15:30:00.007Z)"
    unversioned = msgspec.structs.replace(evidence, parent_captured_at=None)
    assert explain(unversioned) == f"{line} (in 0015g00000AbCdEAAV)"


def test_a_path_that_ended_early_names_no_record() -> None:
    evidence = Evidence("Account.Industry", Operator.IS_EMPTY, True, None, None, verdict=True)
    assert explain(evidence) == "Account.Industry is empty"
