from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline.objects import Operation
from rules.mistakes import RuleError
from rules.model import Condition
from rules.operators import OPERATORS, OperandKind
from rules.parse import parse_rules

if TYPE_CHECKING:
    from rules.model import Operand

POINT = (
    "a date such as 2026-05-01, a datetime with its time zone such as 2026-05-01T12:00:00Z, today,"
    " now, or one such as '7 days ago' or '2 hours from now', at most 1,000 years away"
)


def rule(condition: str, on: str = "insert, update") -> str:
    """Return a rule whose only condition stands on line 5."""
    return (
        f"rule: a\nobject: Lead\non: [{on}]\nwhen:\n  - {{field: A, {condition}}}\n"
        "then: [{add_to_sequence: nurture, recipient: Email}]\n"
    )


def mistakes(text: str) -> list[str]:
    with pytest.raises(RuleError) as caught:
        parse_rules(text, "a.yaml")
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("condition", "operand"),
    [
        ("contains: part", "part"),
        ("contains: ' '", " "),
        ("not_contains: '7'", "7"),
        ("starts_with: 02134", "02134"),
        ("ends_with: '@example.com'", "@example.com"),
        (r"matches: '[0-9]+\.'", r"[0-9]+\."),
        ("includes: A", "A"),
        ("includes: A;B", "A;B"),
        ("excludes: [A;B, 7]", ("A;B", 7)),
        ("between: [1, 2.5]", (1, Decimal("2.5"))),
        ("between: [-1, -1]", (-1, -1)),
        ("between: [2026-05-01, 2026-05-31T12:00:00Z]", ("2026-05-01", "2026-05-31T12:00:00Z")),
        ("between: [7 days ago, today]", ("7 days ago", "today")),
        ("between: [today, 2026-05-31]", ("today", "2026-05-31")),
        ("before: 2026-05-01", "2026-05-01"),
        ("before: Tomorrow", "Tomorrow"),
        ("after: 2 hours ago", "2 hours ago"),
        ("at_least: 7 days ago", "7 days ago"),
        ("at_most: M", "M"),
        ("greater_than: 5", 5),
    ],
)
def test_an_operand_is_kept_as_it_is_written(condition: str, operand: Operand) -> None:
    (parsed,) = parse_rules(rule(condition), "a.yaml")
    (clause,) = parsed.clauses
    assert isinstance(clause, Condition)
    assert clause.operand == operand


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("contains: 94105", "'contains' takes text, not 94105; write it in quotes"),
        ("starts_with: true", "'starts_with' takes text, not true; write it in quotes"),
        ("ends_with: ''", "'ends_with' takes no empty value; ask with 'is_empty: true'"),
        ("not_contains: [a]", "'not_contains' takes one value at a time"),
        ("matches: 5", "'matches' takes text, not 5; write it in quotes"),
        (
            "matches: '(?=a)'",
            "'matches' takes a pattern as RE2 knows them: invalid perl operator: (?=",
        ),
        ("includes: []", "'includes' must not be empty"),
        ("includes: ;", "'includes' takes a picklist's values, not ';'"),
        ("excludes: [A, '']", "'excludes' takes no empty value; ask with 'is_empty: true'"),
        ("before: soon", f"'before' takes {POINT}; not 'soon'"),
        ("before: 5", f"'before' takes {POINT}; not 5"),
        ("after: 2026-02-29", f"'after' takes {POINT}; not '2026-02-29'"),
        ("after: 2026-05-01T12:00:00", f"'after' takes {POINT}; not '2026-05-01T12:00:00'"),
        ("after: 1001 years ago", f"'after' takes {POINT}; not '1001 years ago'"),
        ("after: [today]", "'after' takes one value at a time"),
        ("at_least: 7 dayz ago", f"'at_least' takes {POINT}; not '7 dayz ago'"),
        ("less_than: 2026-13-01", f"'less_than' takes {POINT}; not '2026-13-01'"),
        ("between: 5", "'between' takes a list of two: the low end and the high end"),
        ("between: [5]", "'between' takes a list of two: the low end and the high end"),
        ("between: [1, 2, 3]", "'between' takes a list of two: the low end and the high end"),
        ("between: [2, 1]", "'between' takes the low end first: 2 is never at most 1"),
        (
            "between: [2026-05-02, 2026-05-01]",
            "'between' takes the low end first: 2026-05-02 is never at most 2026-05-01",
        ),
        (
            "between: [today, 7 days ago]",
            "'between' takes the low end first: today is never at most 7 days ago",
        ),
        ("between: [1, today]", "'between' takes two numbers or two dates, not one of each"),
        ("between: [a, 5]", f"'between' takes numbers, or {POINT}; not 'a'"),
        ("between: [true, 5]", f"'between' takes numbers, or {POINT}; not true"),
        ("between: [1, ~]", "'between' takes no empty value; ask with 'is_empty: true'"),
        (
            "increased: 5",
            "'increased' takes nothing but true; put it under 'not' to negate",
        ),
    ],
)
def test_a_wrong_operand_is_told_with_its_line_and_what_is_wanted(
    condition: str, message: str
) -> None:
    assert mistakes(rule(condition)) == [f"a.yaml:5: {message}"]


def test_both_ends_of_a_range_are_told() -> None:
    assert len(mistakes(rule("between: [soon, later]"))) == 2


@pytest.mark.parametrize("operator", ["increased", "decreased"])
def test_only_an_update_raises_or_lowers_a_value(operator: str) -> None:
    text = rule(f"{operator}: true", on="insert, undelete, delete")
    assert mistakes(text) == [
        f"a.yaml:5: '{operator}' can never hold here: 'on' must name one of update"
    ]
    assert parse_rules(rule(f"{operator}: true", on="insert, update"), "a.yaml")


def test_every_kind_of_operand_has_an_operator_and_most_hold_on_any_operation() -> None:
    assert {spec.takes for spec in OPERATORS.values()} == set(OperandKind)
    bound = {name for name, spec in OPERATORS.items() if spec.possible_on != set(Operation)}
    assert bound == {"changed", "changed_from", "changed_to", "increased", "decreased"}
