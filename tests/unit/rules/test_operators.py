"""The table of cases, by each way into an operator; and what every operator must have."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules.compile import compile_rule
from rules.model import Condition, Operator
from rules.moment import Moment
from rules.operators import build_verdict
from rules.parse import parse_rules
from tests.unit.rules.cases.changes import CHANGES
from tests.unit.rules.cases.dates import DATES
from tests.unit.rules.cases.nulls import NULLS
from tests.unit.rules.cases.numbers import NUMBERS
from tests.unit.rules.cases.patterns import PATTERNS
from tests.unit.rules.cases.picklists import PICKLISTS
from tests.unit.rules.cases.relative_dates import RELATIVE_DATES
from tests.unit.rules.cases.text import TEXT

if TYPE_CHECKING:
    from pipeline.change import Fields, Value
    from rules.model import Operand, Rule
    from tests.unit.rules.cases.case import At, Case

CASES = (
    *TEXT, *NUMBERS, *NULLS, *PICKLISTS, *PATTERNS, *CHANGES, *DATES, *RELATIVE_DATES,
)  # fmt: skip
FRESH = (Operation.INSERT, Operation.UNDELETE)


def written(operand: Operand) -> str:
    """Return an operand as YAML: text in quotes, so that it stays text."""
    if isinstance(operand, tuple):
        return f"[{', '.join(map(written, operand))}]"
    return str(operand) if isinstance(operand, Decimal) else json.dumps(operand)


def named(case: Case) -> str:
    return f"{case.operator}: {written(case.operand)} on {case.old!a} to {case.new!a}"[:120]


def captured_at(at: At) -> int:
    return round(datetime.fromisoformat(at.instant).timestamp() * 1000)


def parsed(clause: str, on: str = "insert, update, delete, undelete") -> Rule:
    (rule,) = parse_rules(
        f"rule: a\nobject: Lead\non: [{on}]\nwhen:\n  - {clause}\n"
        "then: [{add_to_sequence: nurture, recipient: Email}]\n",
        "a.yaml",
    )
    return rule


def change(case: Case) -> Change:
    def fields(value: Value) -> Fields:
        return {} if value is None else {"F": value}

    return Change(
        org_id="00D5g000004XyzAEAS",
        object=SObject.LEAD,
        operation=case.operation,
        record_id="00Q5g00000HotLdEAJ",
        capture_id="capture",
        transaction_id="transaction",
        sequence=0,
        captured_at=captured_at(case.at),
        actor_id=None,
        old=None if case.operation in FRESH else fields(case.old),
        new=None if case.operation is Operation.DELETE else fields(case.new),
    )


@pytest.mark.parametrize("case", CASES, ids=named)
def test_an_operator_holds_as_the_table_says(case: Case) -> None:
    verdict = build_verdict(Operator(case.operator), case.operand)
    moment = Moment(captured_at(case.at), ZoneInfo(case.at.zone))
    assert verdict(case.old, case.new, moment) is case.holds
    assert verdict(case.old, case.new, moment) is case.holds


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_written_rule_holds_as_the_table_says(case: Case) -> None:
    rule = parsed(f"{{field: F, {case.operator}: {written(case.operand)}}}")
    assert rule.clauses == (Condition("F", Operator(case.operator), case.operand),)
    match = compile_rule(rule, 1).match(
        change(case), by_sync_user=False, zone=ZoneInfo(case.at.zone)
    )
    assert (match is not None) is case.holds


def test_the_table_is_long_says_nothing_twice_and_covers_every_operator() -> None:
    assert len(CASES) >= 200
    asked = Counter(repr((*case[:5], case.at, case.operation)) for case in CASES)
    assert [key for key, count in asked.items() if count > 1] == []
    for operator in Operator:
        verdicts = {case.holds for case in CASES if case.operator == operator}
        assert verdicts == {True, False}, operator
    nulls = {case.operator for case in CASES if case.new in (None, "")}
    assert nulls >= set(Operator)
