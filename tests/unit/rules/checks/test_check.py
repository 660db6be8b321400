"""What checks say of rules, against an org whose fields are described, learnt, or not known."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from pipeline.objects import SObject
from rules import Operator, Rule, parse_documents
from rules.checks.catalog import (
    Catalog,
    Field,
    FieldType,
    ObjectFields,
    kinds_of_type,
    learnt_fields,
)
from rules.checks.check import Sourced, check
from rules.checks.types import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rules.checks.findings import Finding

ID = "0015g00000AbCdEAAV"
ZONES = ("Europe/Berlin", "UTC")


def field(name: str, field_type: FieldType, **keys: object) -> Field:
    return Field(name, type=field_type, kinds=kinds_of_type(field_type), **keys)  # type: ignore[arg-type]  # as msgspec would have it


DESCRIBED = ObjectFields(
    [
        field("Id", FieldType.ID),
        field("Email", FieldType.EMAIL),
        field("Phone", FieldType.PHONE),
        field("Company", FieldType.STRING),
        field("Worth", FieldType.CURRENCY),
        field("IsHot", FieldType.BOOLEAN),
        field("Born", FieldType.DATE),
        field("SeenAt", FieldType.DATETIME),
        field("Address", FieldType.ADDRESS),
        field("Score", FieldType.DOUBLE, calculated=True),
        field("Rating", FieldType.PICKLIST, values=("Hot", "Warm")),
        field("Stage", FieldType.PICKLIST, values=("Open", "Won"), restricted=True),
        field("Topics", FieldType.MULTIPICKLIST, values=("Oil", "Gas"), restricted=True),
        field("OwnerId", FieldType.REFERENCE, refers_to=("User", "Group"), relationship="Owner"),
        field("BossId", FieldType.REFERENCE, refers_to=("Group",), relationship="Boss"),
        field("HomeId", FieldType.REFERENCE, refers_to=("Account",), relationship="Home"),
    ],
    described=True,
)
CATALOG = Catalog(
    {
        SObject.LEAD: DESCRIBED,
        SObject.USER: ObjectFields([field("IsActive", FieldType.BOOLEAN)], described=True),
        SObject.ACCOUNT: learnt_fields([{"Industry": "Energy", "Employees": 3, "Closed": False}]),
    }
)


def found(texts: Iterable[str], existing: Iterable[Rule] = ()) -> list[str]:
    """Return what checks find in files 0.yaml, 1.yaml, …"""
    documents = [
        Sourced(f"{number}.yaml", document)
        for number, text in enumerate(texts)
        for document in parse_documents(text, f"{number}.yaml")
    ]
    findings: list[Finding] = check(documents, CATALOG, existing, ZONES)
    return [str(finding).removeprefix("0.yaml:") for finding in findings]


def rule(*conditions: str, name: str = "r", on: str = "update", then: str = "") -> str:
    then = then or "{add_to_sequence: s, recipient: Email}"
    when = "".join(f"\n  - {condition}" for condition in conditions) or " []"
    return f"rule: {name}\nobject: Lead\non: [{on}]\nwhen:{when}\nthen:\n  - {then}\n"


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("field: Compny, equals: x", "Lead has no field 'Compny'; did you mean 'Company'?"),
        ("field: Owner.IsActiv, equals: true", "User has no field 'IsActiv'; did you mean"),
        ("field: Onwer.IsActive, equals: true", "Lead has no lookup 'Onwer'; did you mean 'Owner'"),
        ("field: OwnerId.Boss.Name, equals: x", "User has no lookup 'Boss'"),
        ("field: Boss.Name, equals: x", "'Boss' of Lead leads to Group, whose records Penstock"),
        ("field: Worth, contains: '5'", "'contains' does not fit 'Worth', which is of type curr"),
        ("field: IsHot, greater_than: 5", "'greater_than' does not fit 'IsHot', which is of type"),
        ("field: Rating, includes: Hot", "'includes' does not fit 'Rating', which is of type pick"),
        ("field: Company, before: today", "'before' does not fit 'Company', which is of type str"),
        ("field: Company, increased: true", "'increased' does not fit 'Company'"),
        ("field: Address, equals: Bonn", "'equals' does not fit 'Address', which is of type addr"),
        ("field: Worth, equals: much", "'equals' compares 'Worth' with 'much', which it can never"),
        ("field: Worth, in: [5, true]", "'in' compares 'Worth' with true, which it can never hold"),
        ("field: Worth, at_least: lots", "'at_least' compares 'Worth' with 'lots'"),
        ("field: IsHot, equals: yes", "'equals' compares 'IsHot' with 'yes'"),
        ("field: Born, equals: 5", "'equals' compares 'Born' with 5, which it can never hold"),
        ("field: Born, equals: '2026-05-01T00:00:00Z'", "'equals' compares 'Born' with"),
        ("field: SeenAt, equals: 2026-05-01", "'equals' compares 'SeenAt' with '2026-05-01'"),
        ("field: SeenAt, at_most: 5", "'at_most' compares 'SeenAt' with 5"),
        ("field: OwnerId, equals: Ana", "'equals' compares 'OwnerId' with 'Ana'"),
        ("field: Stage, changed_to: Wun", "'Wun' is no active value of the picklist 'Stage' of"),
        ("field: Topics, includes: [Oil, 'Gas;Goal']", "'goal' is no active value of the pick"),
        # Learnt from records, and sure.
        ("field: Home.Closed, contains: x", "'contains' does not fit 'Closed', which has held tr"),
        ("field: Home.Employees, equals: x", "'equals' compares 'Employees' with 'x', which it c"),
        ("field: Home.Industry, before: today", "'before' does not fit 'Industry', which has held"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be_right_is_refused(condition: str, message: str) -> None:
    (told, *others) = found([rule(f"{{{condition}}}")])
    assert told.startswith(f"5: {message}")
    # What can be no value of a field makes nothing else wrong.
    assert others == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("field: Home.Industri, is_set: true", "no record of Account has had the field 'Industri'"),
        ("field: Home.Parent.Name, is_set: true", "no record of Account has had the lookup"),
        ("field: Rating, equals: Host", "'Host' is no active value of the picklist 'Rating' of"),
        ("field: Score, increased: true", "'Score' is calculated by Salesforce"),
        ("any: [{field: Phone, is_set: true}, {field: phone, is_empty: true}]", "this group of"),
    ],
)  # fmt: skip
def test_a_condition_that_may_be_wrong_is_told(condition: str, message: str) -> None:
    (told,) = found([rule(f"{{{condition}}}")])
    assert told.startswith(f"5: warning: {message}")


@pytest.mark.parametrize(
    "condition",
    [
        "field: company, equals: x",
        "field: Owner.IsActive, equals: 'True'",
        "field: Worth, between: [2, 3]",
        "field: Worth, equals: '5.0'",
        "field: Born, after: 7 days ago",
        "field: Born, at_least: 2026-05-01",
        "field: SeenAt, between: [yesterday, 2026-05-01]",
        "field: OwnerId, equals: 0055g00000AbCdE",
        "field: OwnerId, starts_with: '005'",
        "field: Stage, equals: WON",
        "field: Rating, in: [hot, WARM]",
        "field: Topics, excludes: 'gas; oil'",
        "field: Topics, equals: Oil;Gas",
        "field: Address, changed: true",
        "field: Score, at_least: 5",
        "field: Home.Industry, matches: E.*",
        # Contacts are not known at all.
        "field: Home.Primary__r.Nonsense, equals: x",
        "any: [{field: Worth, at_least: 5}, {field: Worth, less_than: 5}]",
    ],
)
def test_a_condition_that_can_be_right_is_left_alone(condition: str) -> None:
    unknown = [told for told in found([rule(f"{{{condition}}}")]) if "no record of" not in told]
    assert unknown == []


def test_what_was_meant_is_guessed_among_what_there_is() -> None:
    conditions = ("{field: Stage, equals: Wun}", "{field: Home.Industri, is_set: true}")
    stage, industry = found([rule(*conditions)])
    assert stage.endswith("picklist 'Stage' of Lead; did you mean 'Won'?")
    assert "so far; did you mean 'Industry'? a field that is always empty is never" in industry


def test_every_operator_is_told_what_it_can_be_asked_of() -> None:
    assert KINDS.keys() == set(Operator)


def test_fields_of_actions_are_checked_where_they_stand() -> None:
    then = (
        "{add_to_sequence: s, recipient: Phone, variables: {a: Nope}}\n"
        "  - {remove_from_sequence: t, recipient: Mail}\n"
        '  - {webhook: "https://example.com/", fields: {b: Owner.Nope}}'
    )
    assert found([rule(then=then)]) == [
        "6: warning: the recipient 'Phone' is of type phone, which need not hold an address",
        "6: Lead has no field 'Nope'",
        "7: Lead has no field 'Mail'; did you mean 'Email'?",
        "8: User has no field 'Nope'",
    ]


def test_a_rule_that_can_never_match_is_refused_with_the_conditions_that_exclude_each_other() -> (
    None
):
    conditions = ("{field: Phone, is_set: true}", "{field: Worth, at_least: 10}")
    (told,) = found([rule(*conditions, "{field: worth, less_than: 5}")])
    pair = "'Worth at_least 10' and 'worth less_than 5'"
    assert told == f"7: rule 'r' can never match: {pair} exclude each other"


def test_a_sequences_time_zone_has_to_exist() -> None:
    text = 'sequence: s\nquiet_hours:\n  {from: "22:00", until: "07:00", time_zone: Europe/Berln}'
    assert found([text]) == ["3: unknown time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?"]
    assert found([text.replace("Berln", "Berlin")]) == []


REMOVE = "{remove_from_sequence: s, recipient: email}"


def test_rules_that_add_and_remove_on_one_condition_are_refused_wherever_they_stand() -> None:
    adding = rule("{field: Rating, equals: hot}", "{field: Worth, at_least: 5}")
    removing = rule(
        "{all: [{field: worth, at_least: 5}]}",
        "{field: Rating, equals: Hot}",
        name="out",
        on="insert, update",
        then=REMOVE,
    )
    message = "rule 'out' removes from sequence 's' whom rule 'r' adds on the same condition"
    assert found([adding, removing]) == [f"1.yaml:8: {message}; 'r' stands in 0.yaml:1"]
    assert found([removing, adding]) == [f"1.yaml:8: {message}; 'out' stands in 0.yaml:1"]
    existing = [one.content for one in parse_documents(adding, "a")]
    rules = [one for one in existing if isinstance(one, Rule)]
    assert found([removing], rules) == [f"8: {message}; 'r' is active"]
    # The same name: it is replaced.
    assert found([removing.replace("out", "r")], rules) == []
    # What is wrong among others is told to whoever applied them.
    assert found([rule(name="third")], rules) == []


def test_one_rule_that_adds_and_removes_is_refused() -> None:
    then = "{add_to_sequence: s, recipient: Email}\n  - " + REMOVE
    assert found([rule(then=then)]) == ["6: rule 'r' both adds to sequence 's' and removes from it"]


@pytest.mark.parametrize(
    ("condition", "on", "then"),
    [
        ("{field: Rating, equals: Warm}", "update", REMOVE),
        ("{field: Rating, equals: Hot}", "insert", REMOVE),
        ("{field: Rating, equals: Hot}", "update", "{remove_from_sequence: t, recipient: Email}"),
        ("{field: Rating, equals: Hot}", "update", "{remove_from_sequence: s, recipient: Phone}"),
    ],
)
def test_rules_that_differ_do_not_conflict(condition: str, on: str, then: str) -> None:
    adding = rule("{field: Rating, equals: Hot}")
    told = found([adding, rule(condition, name="out", on=on, then=then)])
    assert [one for one in told if "recipient" not in one] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{any: [{field: Worth, is_set: true}]}", "{field: Worth, is_set: true}"),
        ("{not: {not: {field: Worth, is_set: true}}}", "{field: Worth, is_set: true}"),
        ("{field: Rating, in: [Hot, Warm]}", "{field: Rating, in: [WARM, hot]}"),
        ("{field: Owner.IsActive, equals: true}", "{field: ownerid.isactive, equals: 'true'}"),
        (
            "{any: [{field: Worth, equals: 1}, {field: Company, equals: a}]}",
            "{any: [{field: Company, equals: A}, {field: Worth, equals: 1}]}",
        ),
    ],
)
def test_conditions_are_the_same_however_they_are_written(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        told = found([rule(first), rule(second, name="out", then=REMOVE)])
        assert len(told) == 1


def test_a_range_is_not_its_reverse() -> None:
    texts = chain(
        [rule("{field: Born, between: [today, tomorrow]}")],
        [rule("{field: Born, between: [yesterday, today]}", name="out", then=REMOVE)],
    )
    assert found(texts) == []
