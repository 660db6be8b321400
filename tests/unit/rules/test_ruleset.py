from __future__ import annotations

import pytest

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules.compile import CompiledRule, compile_rule
from rules.match import Verdicts
from rules.parse import parse_rules
from rules.ruleset import RuleSet


def rule(name: str, *, object_: str = "Lead", on: str = "update", when: str = "") -> CompiledRule:
    text = (
        f"{{rule: {name}, object: {object_}, on: [{on}], when: [{when}],"
        " then: [{add_to_sequence: nurture, recipient: Email}]}"
    )
    (parsed,) = parse_rules(text, "a.yaml")
    return compile_rule(parsed, 1)


def update(object_: SObject = SObject.LEAD) -> Change:
    return Change(
        org_id="00D5g000004XyzAEAS",
        object=object_,
        operation=Operation.UPDATE,
        record_id="00Q5g00000HotLdEAJ",
        capture_id="capture",
        transaction_id="transaction",
        sequence=0,
        captured_at=0,
        actor_id=None,
        old={"Status": "Working"},
        new={"Status": "Qualified"},
    )


def test_matches_come_in_the_order_of_names() -> None:
    rules = RuleSet([rule("c"), rule("a"), rule("b", when="{field: Status, equals: New}")])
    found = rules.evaluate(update(), by_sync_user=False)
    assert [match.rule for match in found.matches] == ["a", "c"]


def test_rules_of_other_objects_and_operations_are_not_asked() -> None:
    rules = RuleSet([rule("a", object_="Contact"), rule("b", on="insert, delete")])
    assert rules.evaluate(update(), by_sync_user=False) == Verdicts()
    assert RuleSet([]).evaluate(update(), by_sync_user=False) == Verdicts()


def test_the_sync_users_changes_fire_no_rule() -> None:
    assert RuleSet([rule("a")]).evaluate(update(), by_sync_user=True) == Verdicts()


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two rules are named 'a'"):
        RuleSet([rule("a"), rule("a")])


def test_watched_is_the_sorted_union_of_what_an_objects_rules_read() -> None:
    rules = RuleSet(
        [
            rule("a", when="{field: Status, changed: true}"),
            rule("b", when="{not: {field: Rating, equals: Hot}}"),
            rule("c", object_="Task", when="{field: Subject, is_set: true}"),
        ]
    )
    assert rules.watched() == {
        SObject.LEAD: [
            "Email",
            "EmailBouncedDate",
            "HasOptedOutOfEmail",
            "IsConverted",
            "Rating",
            "Status",
        ],
        SObject.CONTACT: ["EmailBouncedDate", "HasOptedOutOfEmail"],
        SObject.TASK: ["Email", "Subject"],
    }


def test_a_rule_without_conditions_makes_any_field_worth_a_callout() -> None:
    rules = RuleSet([rule("a", when="{field: Status, changed: true}"), rule("b")])
    assert rules.watched()[SObject.LEAD] == []
