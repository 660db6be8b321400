"""Compiled rules against an interpreter that knows nothing of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.objects import Operation, SObject
from rules.compile import compile_rule
from rules.explain import explain_match
from rules.match import Enroll
from rules.model import AddToSequence, AllOf, Condition, Not, Operator, Rule
from rules.ruleset import RuleSet
from tests.unit.rules.reference.interpreter import Situation, clause_holds, condition_holds
from tests.unit.rules.reference.situations import (
    OPERANDS,
    plain_situations,
    pointed_situations,
    rules,
    wild_situations,
)


@settings(max_examples=500, deadline=None)
@given(rules, st.lists(plain_situations(), min_size=1, max_size=3))
def test_a_compiled_rule_agrees_with_the_reference(rule: Rule, met: list[Situation]) -> None:
    compiled = compile_rule(rule, 1)
    together = RuleSet([compiled])
    for situation in met:
        expected = all(clause_holds(clause, situation) for clause in rule.clauses)
        match = compiled.match(situation.change, by_sync_user=False, zone=situation.zone)
        assert (match is not None) is expected
        found = together.evaluate(situation.change, by_sync_user=False, zone=situation.zone)
        assert found.matches == (() if match is None else (match,))
        for evidence in match.evidence if match is not None else ():
            condition = Condition(evidence.field, evidence.operator, evidence.operand)
            assert condition_holds(condition, situation) is evidence.verdict


@pytest.mark.parametrize("operator", Operator)
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_operator_agrees_with_the_reference(operator: Operator, data: st.DataObject) -> None:
    condition = Condition("Status", operator, data.draw(OPERANDS[operator]))
    situation = data.draw(pointed_situations(condition.operand))
    rule = Rule(
        name="a",
        object=SObject.LEAD,
        operations=frozenset(Operation),
        actions=(AddToSequence("nurture", "Email"),),
        clauses=(condition,),
    )
    match = compile_rule(rule, 1).match(situation.change, by_sync_user=False, zone=situation.zone)
    assert (match is not None) is condition_holds(condition, situation)


@settings(max_examples=500, deadline=None)
@given(rules, wild_situations)
def test_no_record_raises(rule: Rule, situation: Situation) -> None:
    for negated in (rule, msgspec.structs.replace(rule, clauses=(Not(AllOf(rule.clauses)),))):
        match = compile_rule(negated, 1).match(
            situation.change, by_sync_user=False, zone=situation.zone
        )
        if match is not None:
            assert len(explain_match(match)) == len(match.evidence)
            for action in match.actions:
                assert isinstance(action, Enroll)
                assert action.recipient is None or action.recipient.encode()
