from __future__ import annotations

from pipeline.objects import SObject
from rules.compile import CompiledRule, compile_rule
from rules.parse import parse_rules
from rules.ruleset import RuleSet


def rule(object_: str, when: str, then: str) -> CompiledRule:
    text = f"{{rule: a, object: {object_}, on: [update], when: [{when}], then: [{then}]}}"
    (parsed,) = parse_rules(text, "a.yaml")
    return compile_rule(parsed, 1)


OPT_OUT = ("EmailBouncedDate", "HasOptedOutOfEmail")
HOOK = "{webhook: 'https://hooks.example', fields: {x: Name}}"


def test_a_lookup_is_watched_at_each_of_its_steps() -> None:
    rules = RuleSet([rule("Opportunity", "{field: Account.Owner.IsActive, equals: true}", HOOK)])
    assert rules.watched() == {
        SObject.OPPORTUNITY: ["AccountId"],
        SObject.ACCOUNT: ["OwnerId"],
        SObject.USER: ["IsActive"],
    }


def test_a_recipient_behind_a_polymorphic_lookup_is_watched_on_each_object() -> None:
    add = "{add_to_sequence: nurture, recipient: Who.Email}"
    rules = RuleSet([rule("Task", "{field: Status, equals: Done}", add)])
    assert rules.watched() == {
        SObject.TASK: ["Status", "WhoId"],
        SObject.CONTACT: ["Email", *OPT_OUT],
        SObject.LEAD: ["Email", *OPT_OUT, "IsConverted"],
    }


def test_an_object_that_is_known_to_lack_a_field_is_not_watched_for_it() -> None:
    rules = RuleSet([rule("Task", "{field: What.StageName, equals: Won}", HOOK)])
    watched = rules.watched(lambda sobject, _: sobject is not SObject.ACCOUNT)
    assert watched == {SObject.TASK: ["WhatId"], SObject.OPPORTUNITY: ["StageName"]}


def test_enrolling_anyone_watches_what_ends_mailing_them_on_whatever_record() -> None:
    add = "{add_to_sequence: nurture, recipient: Email}"
    rules = RuleSet([rule("Lead", "{field: Status, equals: New}", add)])
    assert rules.watched() == {
        SObject.LEAD: ["Email", *OPT_OUT, "IsConverted", "Status"],
        SObject.CONTACT: [*OPT_OUT],
    }


def test_enrolling_person_accounts_watches_their_own_fields_of_it() -> None:
    add = "{add_to_sequence: nurture, recipient: PersonEmail}"
    rules = RuleSet([rule("Account", "{field: Rating, equals: Hot}", add)])
    assert rules.watched()[SObject.ACCOUNT] == [
        "PersonEmail",
        "PersonEmailBouncedDate",
        "PersonHasOptedOutOfEmail",
        "Rating",
    ]
