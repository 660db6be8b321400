"""Paths through lookups: what is decided, what is still to be looked up, what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules.compile import CompiledRule, compile_rule
from rules.match import Enroll, Evidence, Verdicts, Waiting
from rules.model import Operator, ReEnroll
from rules.moment import Moment
from rules.parse import parse_rules
from rules.ruleset import RuleSet
from rules.states import Parent, States

if TYPE_CHECKING:
    from pipeline.change import Fields

ACME = "0015g00000AcmeCoAA"
OTHER = "0015g00000OtherCAA"
OWNER = "0055g00000OwnerUAAZ"[:18]
RECORD = "0065g00000DealOnAAK"[:18]


def rule(when: str, *, name: str = "a", rest: str = "", then: str = "") -> CompiledRule:
    action = then or "{add_to_sequence: nurture, recipient: Owner.Email}"
    text = (
        f"{{rule: {name}, object: Opportunity, on: [insert, update], when: [{when}],"
        f" then: [{action}]{rest}}}"
    )
    (parsed,) = parse_rules(text, "a.yaml")
    return compile_rule(parsed, 1)


def update(old: Fields, new: Fields) -> Change:
    return Change(
        org_id="00D5g000004XyzAEAS",
        object=SObject.OPPORTUNITY,
        operation=Operation.UPDATE,
        record_id=RECORD,
        capture_id="capture",
        transaction_id="transaction",
        sequence=0,
        captured_at=0,
        actor_id=None,
        old=old,
        new=new,
    )


DEAL = {"StageName": "Won", "AccountId": ACME, "OwnerId": OWNER}
CHANGE = update({**DEAL, "StageName": "Open"}, DEAL)
PARENTS = {
    ACME: Parent({"Industry": "Retail", "OwnerId": OWNER}, 7),
    OTHER: Parent({"Industry": "Energy"}, 8),
    OWNER: Parent({"Email": "Own@Er.example", "IsActive": True}, 9),
}
IS_RETAIL = "{field: Account.Industry, equals: retail}"


def ask(compiled: CompiledRule, change: Change, parents: dict[str, Parent]) -> Verdicts:
    return RuleSet([compiled]).evaluate(change, by_sync_user=False, parents=parents)


def test_records_on_the_way_are_asked_for_one_after_another() -> None:
    compiled = rule("{field: Account.Owner.IsActive, equals: true}")
    parents: dict[str, Parent] = {}
    rounds: list[set[str]] = []
    while unread := ask(compiled, CHANGE, parents).unread:
        rounds.append(set(unread))
        parents |= {record_id: PARENTS[record_id] for record_id in unread}
    assert rounds == [{ACME, OWNER}]
    (match,) = ask(compiled, CHANGE, parents).matches
    assert match.actions == (Enroll("nurture", "own@er.example", {}, ReEnroll.NEVER),)


def test_a_rule_that_its_own_fields_refuse_looks_nothing_up() -> None:
    compiled = rule(f"{IS_RETAIL}, {{field: StageName, equals: Lost}}")
    assert ask(compiled, CHANGE, {}) == Verdicts()


def test_what_the_other_clauses_decide_waits_for_no_parent() -> None:
    then = "{add_to_sequence: nurture, recipient: Email}"
    either = f"{{any: [{IS_RETAIL}, {{field: StageName, equals: Won}}]}}"
    assert ask(rule(either, then=then), CHANGE, {}).matches
    neither = f"{{not: {{all: [{IS_RETAIL}, {{field: StageName, equals: Lost}}]}}}}"
    assert ask(rule(neither, then=then), CHANGE, {}).matches


def test_the_value_and_version_of_the_parent_are_evidence() -> None:
    (match,) = ask(rule(IS_RETAIL), CHANGE, PARENTS).matches
    assert match.evidence == (
        Evidence("Account.Industry", Operator.EQUALS, "retail", "Retail", "Retail", True, ACME, 7),
    )


def test_a_parent_that_is_not_synced_is_waited_for() -> None:
    missing = PARENTS | {ACME: Parent(None)}
    assert ask(rule(IS_RETAIL), CHANGE, missing).waiting == (Waiting("a", 1, frozenset({ACME})),)


def test_a_recipient_that_is_not_synced_is_waited_for() -> None:
    missing = PARENTS | {OWNER: Parent(None)}
    assert ask(rule(IS_RETAIL), CHANGE, missing).waiting[0].parents == {OWNER}


def test_a_rule_may_take_a_missing_parent_for_empty() -> None:
    missing = {ACME: Parent(None), OWNER: Parent(None)}
    compiled = rule(
        "{not: {field: Account.Industry, is_set: true}}", rest=", missing_parent: empty"
    )
    (match,) = ask(compiled, CHANGE, missing).matches
    assert match.actions == (Enroll("nurture", None, {}, ReEnroll.NEVER),)


@pytest.mark.parametrize("reference", [None, "", "a00500000CustomAAA", "no id", 7])
def test_a_reference_to_nothing_that_is_synced_is_empty_at_once(
    reference: str | int | None,
) -> None:
    then = "{add_to_sequence: nurture, recipient: Email}"
    compiled = rule("{field: Account.Industry, is_empty: true}", then=then)
    assert ask(compiled, update(DEAL, {**DEAL, "AccountId": reference}), {}).matches


def test_a_deleted_parent_is_empty() -> None:
    gone = PARENTS | {ACME: Parent({}, 9)}
    assert ask(rule("{field: Account.Industry, is_empty: true}"), CHANGE, gone).matches


def test_a_lookup_changes_when_the_record_refers_to_another_parent() -> None:
    moved = update({**DEAL, "AccountId": OTHER}, DEAL)
    compiled = rule("{field: Account.Industry, changed_from: Energy}")
    assert ask(compiled, moved, {OWNER: PARENTS[OWNER], ACME: PARENTS[ACME]}).unread == {OTHER}
    assert ask(compiled, moved, PARENTS).matches
    assert not ask(compiled, CHANGE, PARENTS).matches


def test_a_former_parent_that_is_not_synced_is_empty_and_never_waited_for() -> None:
    moved = update({**DEAL, "AccountId": OTHER}, DEAL)
    missing = PARENTS | {OTHER: Parent(None)}
    assert ask(rule("{field: Account.Industry, changed: true}"), moved, missing).matches
    assert ask(rule(IS_RETAIL), moved, missing).matches


def test_a_lookup_changes_when_the_parent_did() -> None:
    unchanged = update(DEAL, DEAL)
    verdicts = RuleSet([rule("{field: Account.Industry, changed_from: Energy}")]).evaluate(
        unchanged, by_sync_user=False, parents=PARENTS, previous={ACME: {"Industry": "Energy"}}
    )
    (match,) = verdicts.matches
    assert (match.evidence[0].old, match.evidence[0].new) == ("Energy", "Retail")


def test_ids_of_15_characters_lead_to_the_same_record() -> None:
    short = update(DEAL, {**DEAL, "AccountId": ACME[:15]})
    long = {key: value for key, value in PARENTS.items() if key != ACME}
    unread = ask(rule(IS_RETAIL), short, long).unread
    assert len(unread) == 1
    (record_id,) = unread
    assert record_id.startswith(ACME[:15])
    assert len(record_id) == len(ACME)


def test_fields_of_a_parent_are_found_without_regard_to_case() -> None:
    assert ask(rule("{field: account.INDUSTRY, equals: retail}"), CHANGE, PARENTS).matches


def test_the_whole_trace_says_what_is_undecided() -> None:
    compiled = rule(f"{{any: [{IS_RETAIL}, {{not: {{field: StageName, equals: Won}}}}]}}")
    (group,) = compiled.trace(States(CHANGE, Moment(0), {ACME: Parent(None)}))
    assert (group.kind, group.verdict) == ("any", None)
    assert [(one.kind, one.verdict) for one in group.clauses] == [
        ("condition", None),
        ("not", False),
    ]
    assert msgspec.json.decode(msgspec.json.encode(group))["clauses"][0]["kind"] == "condition"


def test_climbs_are_every_path_that_the_rules_read() -> None:
    rules = RuleSet(
        [rule(IS_RETAIL, then="{webhook: 'https://c', fields: {boss: Owner.Manager.Name}}")]
    )
    assert {(climb.references, climb.field) for climb in rules.climbs()} == {
        (("AccountId",), "Industry"),
        (("OwnerId", "ManagerId"), "Name"),
    }
