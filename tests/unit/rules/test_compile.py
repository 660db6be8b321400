from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules.compile import CompiledRule, compile_rule
from rules.match import Enroll, Evidence
from rules.model import Operator, ReEnroll
from rules.parse import parse_rules

if TYPE_CHECKING:
    from pipeline.change import Fields


def rule(
    when: str, *, on: str = "insert, update, delete, undelete", rest: str = ""
) -> CompiledRule:
    text = f"""
rule: a
object: Lead
on: [{on}]
when: [{when}]
then:
  - add_to_sequence: nurture
    recipient: Email
    variables: {{first_name: FirstName}}
    re_enroll: always
{rest}
"""
    (parsed,) = parse_rules(text, "a.yaml")
    return compile_rule(parsed, 3)


def change(operation: Operation, old: Fields | None, new: Fields | None) -> Change:
    return Change(
        org_id="00D5g000004XyzAEAS",
        object=SObject.LEAD,
        operation=operation,
        record_id="00Q5g00000HotLdEAJ",
        capture_id="0c9e7d0e-6d3c-4b43-9f0c-0a8f6b7f8f11",
        transaction_id="4q8vVhS2cGZk2P-",
        sequence=0,
        captured_at=1795430400123,
        actor_id=None,
        old=old,
        new=new,
    )


def update(old: Fields, new: Fields) -> Change:
    return change(Operation.UPDATE, old, new)


def insert(new: Fields) -> Change:
    return change(Operation.INSERT, None, new)


def matches(compiled: CompiledRule, event: Change) -> bool:
    return compiled.match(event, by_sync_user=False) is not None


def test_changed_to_needs_another_value_before() -> None:
    compiled = rule("{field: Status, changed_to: Qualified}")
    assert matches(compiled, update({"Status": "Working"}, {"Status": "Qualified"}))
    assert matches(compiled, update({}, {"Status": "qualified"}))
    assert not matches(compiled, update({"Status": "QUALIFIED"}, {"Status": "Qualified"}))
    assert not matches(compiled, update({"Status": "Qualified"}, {"Status": "Working"}))


def test_changed_from_needs_another_value_after() -> None:
    compiled = rule("{field: Status, changed_from: Working}")
    assert matches(compiled, update({"Status": "working"}, {"Status": "Qualified"}))
    assert matches(compiled, update({"Status": "Working"}, {}))
    assert not matches(compiled, update({"Status": "Working"}, {"Status": "Working"}))
    assert not matches(compiled, update({"Status": "New"}, {"Status": "Qualified"}))


def test_a_cleared_field_counts_as_changed() -> None:
    compiled = rule("{field: Status, changed: true}")
    assert matches(compiled, update({"Status": "Working"}, {}))
    assert matches(compiled, update({"Status": "Working"}, {"Status": "working"}))
    assert not matches(compiled, update({"Status": None}, {"Status": ""}))


@pytest.mark.parametrize("operation", [Operation.INSERT, Operation.UNDELETE])
def test_before_an_insert_or_undelete_every_field_was_null(operation: Operation) -> None:
    event = change(operation, None, {"Status": "Qualified"})
    assert matches(rule("{field: Status, changed: true}"), event)
    assert matches(rule("{field: Status, changed_to: Qualified}"), event)
    assert not matches(rule("{field: Status, changed_from: Qualified}"), event)
    assert not matches(rule("{field: Rating, changed: true}"), event)


def test_a_deletion_shows_the_last_state_unchanged() -> None:
    event = change(Operation.DELETE, {"Status": "Qualified"}, None)
    assert matches(rule("{field: Status, equals: Qualified}"), event)
    assert not matches(rule("{field: Status, changed: true}"), event)
    assert not matches(rule("{field: Status, changed_to: Qualified}"), event)


def test_negative_operators_hold_for_null_and_orders_do_not() -> None:
    event = insert({})
    for operator in ("not_equals: 1", "not_in: [1]", "is_empty: true"):
        assert matches(rule(f"{{field: A, {operator}}}"), event)
    for operator in ("equals: 1", "in: [1]", "is_set: true", "less_than: 1", "at_most: 1"):
        assert not matches(rule(f"{{field: A, {operator}}}"), event)


def test_orders_include_or_exclude_their_bound() -> None:
    event = insert({"A": 5})
    for operator in ("at_least: 5", "at_most: 5.0", "greater_than: 4", "less_than: 6"):
        assert matches(rule(f"{{field: A, {operator}}}"), event)
    for operator in ("at_least: 6", "at_most: 4", "greater_than: 5", "less_than: 5"):
        assert not matches(rule(f"{{field: A, {operator}}}"), event)


def test_a_field_spelled_in_another_case_is_found() -> None:
    compiled = rule("{field: STATUS, changed_to: Qualified}")
    assert matches(compiled, update({"Status": "Working"}, {"Status": "Qualified"}))


def test_the_exact_spelling_wins_even_where_it_was_cleared() -> None:
    compiled = rule("{field: status, is_empty: true}")
    assert matches(compiled, update({"status": "x"}, {"Status": "y"}))


def test_only_the_named_object_and_operations_match() -> None:
    compiled = rule("", on="update")
    assert matches(compiled, update({}, {}))
    assert not matches(compiled, insert({}))
    account = msgspec.structs.replace(update({}, {}), object=SObject.ACCOUNT)
    assert not matches(compiled, account)


def test_the_sync_users_changes_need_consent() -> None:
    event = insert({})
    assert rule("").match(event, by_sync_user=True) is None
    consenting = rule("", rest="include_sync_user: true")
    assert consenting.match(event, by_sync_user=True) is not None


def test_reads_are_the_fields_of_conditions_and_recipient() -> None:
    compiled = rule("{field: A, is_set: true}, {any: [{not: {field: B, equals: 1}}]}")
    assert compiled.reads == {"A", "B", "Email"}
    assert not compiled.reads_any_field
    assert rule("").reads_any_field


def test_a_match_names_the_rule_and_what_to_do() -> None:
    compiled = rule("")
    assert (compiled.name, compiled.version, compiled.object) == ("a", 3, SObject.LEAD)
    found = compiled.match(insert({"Email": " A@B.C ", "FirstName": "Zoë"}), by_sync_user=False)
    assert found is not None
    assert (found.rule, found.version, found.evidence) == ("a", 3, ())
    assert found.actions == (Enroll("nurture", "a@b.c", {"first_name": "Zoë"}, ReEnroll.ALWAYS),)


def test_a_missing_recipient_and_variable_are_none() -> None:
    found = rule("").match(insert({}), by_sync_user=False)
    assert found is not None
    assert found.actions == (Enroll("nurture", None, {"first_name": None}, ReEnroll.ALWAYS),)


def evidence(when: str, event: Change) -> list[tuple[str, bool]]:
    found = rule(when).match(event, by_sync_user=False)
    assert found is not None
    return [(item.field, item.verdict) for item in found.evidence]


def test_evidence_holds_what_the_condition_saw() -> None:
    found = rule("{field: Status, changed_to: Qualified}").match(
        update({"Status": "Working"}, {"Status": "qualified"}), by_sync_user=False
    )
    assert found is not None
    assert found.evidence == (
        Evidence("Status", Operator.CHANGED_TO, "Qualified", "Working", "qualified", verdict=True),
    )


def test_evidence_for_any_is_the_first_branch_that_held() -> None:
    when = "{any: [{field: A, equals: 9}, {field: B, equals: 2}, {field: C, equals: 3}]}"
    assert evidence(when, insert({"A": 1, "B": 2, "C": 3})) == [("B", True)]


def test_evidence_for_all_is_every_condition() -> None:
    when = "{all: [{field: A, equals: 1}, {field: B, equals: 2}]}, {field: C, is_empty: true}"
    assert evidence(when, insert({"A": 1, "B": 2})) == [("A", True), ("B", True), ("C", True)]


def test_evidence_for_not_is_what_failed() -> None:
    event = insert({"A": 1, "B": 2})
    assert evidence("{not: {field: A, equals: 2}}", event) == [("A", False)]
    nobody = "{not: {any: [{field: A, equals: 2}, {field: B, equals: 1}]}}"
    assert evidence(nobody, event) == [("A", False), ("B", False)]
    not_both = "{not: {all: [{field: A, equals: 1}, {field: B, equals: 1}]}}"
    assert evidence(not_both, event) == [("B", False)]
    assert evidence("{not: {not: {field: A, equals: 1}}}", event) == [("A", True)]
