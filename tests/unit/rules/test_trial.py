"""Clauses in the author's words, and which conditions decided one."""

from __future__ import annotations

import pytest

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules import Moment, States, compile_rule, parse_rules
from rules.trial import decisive, describe

RULE = """\
rule: x
object: Lead
on: [insert]
when:
  - {field: Status, in: [Open, 1.50]}
  - not: {any: [{field: A, equals: 1}, {field: B, is_set: true}]}
  - any: [{field: A, equals: 1}, {all: [{field: B, equals: b}, {field: C, equals: c}]}]
then: [{add_to_sequence: s, recipient: Email}]
"""


def decided(clause: int, **fields: str) -> list[str]:
    (rule,) = parse_rules(RULE, "x")
    change = Change(
        "", SObject.LEAD, Operation.INSERT, "", "", "", 0, 0, actor_id=None, old=None, new=fields
    )
    traced = compile_rule(rule, 1).trace(States(change, Moment(0)))[clause]
    return [evidence.field for evidence in decisive(traced)]


def test_a_clause_is_described_as_it_stands_in_the_rule() -> None:
    (rule,) = parse_rules(RULE, "x")
    assert [describe(clause) for clause in rule.clauses] == [
        "Status in [Open, 1.50]",
        "not: any: [A equals 1, B is_set true]",
        "any: [A equals 1, all: [B equals b, C equals c]]",
    ]


@pytest.mark.parametrize(
    ("clause", "fields", "fields_that_decided"),
    [
        (0, {"Status": "Closed"}, ["Status"]),
        (1, {"B": "b"}, ["B"]),
        (1, {}, ["A", "B"]),
        (2, {"A": "1"}, ["A"]),
        (2, {"B": "b"}, ["A", "C"]),
        (2, {"B": "b", "C": "c"}, ["B", "C"]),
    ],
)
def test_what_decided_is_what_would_have_to_be_otherwise(
    clause: int, fields: dict[str, str], fields_that_decided: list[str]
) -> None:
    assert decided(clause, **fields) == fields_that_decided
