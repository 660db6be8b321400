from __future__ import annotations

from decimal import Decimal

import pytest

from pipeline.objects import Operation, SObject
from rules.mistakes import RuleError
from rules.model import (
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    MissingParent,
    Not,
    Operator,
    ReEnroll,
    Rule,
    Sequence,
)
from rules.parse import parse_documents, parse_rules

COMPLETE = """\
rule: hot-leads
object: Lead
on: [insert, update]
when:
  - {field: Status, changed_to: Qualified}
  - any:
      - {field: Rating, in: [Hot, Warm]}
      - all:
          - {field: AnnualRevenue, at_least: 1000000.50}
          - {field: Company, is_set: true}
  - not: {field: Country, equals: no}
then:
  - add_to_sequence: nurture
    recipient: Email
    variables: {first_name: FirstName}
    re_enroll: after_exit
include_sync_user: true
"""

HEAD = "rule: a\nobject: Lead\non: [insert, update]\n"
TAIL = "then: [{add_to_sequence: nurture, recipient: Email}]\n"


def messages(text: str) -> list[str]:
    with pytest.raises(RuleError) as caught:
        parse_rules(text, "a.yaml")
    assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
    return [str(mistake) for mistake in caught.value.mistakes]


def when(clause: str) -> str:
    """Return a rule whose only clause stands on line 5."""
    return f"{HEAD}when:\n  - {clause}\n{TAIL}"


def test_every_part_of_a_rule_is_read() -> None:
    assert parse_rules(COMPLETE, "a.yaml") == [
        Rule(
            name="hot-leads",
            object=SObject.LEAD,
            operations=frozenset({Operation.INSERT, Operation.UPDATE}),
            clauses=(
                Condition("Status", Operator.CHANGED_TO, "Qualified"),
                AnyOf(
                    (
                        Condition("Rating", Operator.IN, ("Hot", "Warm")),
                        AllOf(
                            (
                                Condition(
                                    "AnnualRevenue", Operator.AT_LEAST, Decimal("1000000.50")
                                ),
                                Condition("Company", Operator.IS_SET, operand=True),
                            )
                        ),
                    )
                ),
                Not(Condition("Country", Operator.EQUALS, "no")),
            ),
            actions=(
                AddToSequence("nurture", "Email", {"first_name": "FirstName"}, ReEnroll.AFTER_EXIT),
            ),
            include_sync_user=True,
        )
    ]


def test_what_is_left_out_takes_its_default() -> None:
    (rule,) = parse_rules(HEAD + TAIL, "a.yaml")
    assert rule.clauses == ()
    assert rule.include_sync_user is False
    (action,) = rule.actions
    assert isinstance(action, AddToSequence)
    assert action.re_enroll is ReEnroll.NEVER
    assert action.variables == {}


def test_one_text_may_hold_several_rules() -> None:
    second = (HEAD + TAIL).replace("rule: a", "rule: b")
    assert [rule.name for rule in parse_rules(f"{HEAD}{TAIL}---\n{second}", "-")] == ["a", "b"]


def test_two_rules_of_one_name_are_refused() -> None:
    assert messages(f"{HEAD}{TAIL}---\n{HEAD}{TAIL}") == [
        "a.yaml:6: a rule 'a' stands on line 1 already"
    ]


def test_a_text_without_a_rule_is_refused() -> None:
    assert messages("# nothing yet\n") == ["a.yaml:1: no rule found"]


def test_all_mistakes_are_told_at_once_in_line_order() -> None:
    text = """\
rule: Hot Leads
object: lead
on: [insert, updte]
whne: []
when:
  - {field: Status, equls: Hot}
  - {field: A.B.C.D.E.F.G, equals: true}
then:
  - add_to_sequence: ""
    recipient: Email
    re_enrol: always
---
rule: b
"""
    assert messages(text) == [
        (
            "a.yaml:1: a rule's name is up to 100 lower-case letters, digits and single '-' or '_'"
            " between them, such as 'hot-leads'; this is 'Hot Leads'"
        ),
        "a.yaml:2: unknown object 'lead'; did you mean 'Lead'?",
        "a.yaml:3: unknown operation 'updte'; did you mean 'update'?",
        "a.yaml:4: unknown key 'whne'; did you mean 'when'?",
        "a.yaml:6: unknown operator 'equls'; did you mean 'equals'?",
        "a.yaml:7: 'A.B.C.D.E.F.G' follows 6 lookups; 5 are the most",
        "a.yaml:9: 'add_to_sequence' takes text, not empty text",
        "a.yaml:11: unknown key 're_enrol'; did you mean 're_enroll'?",
        "a.yaml:13: missing key 'object'",
        "a.yaml:13: missing key 'on'",
        "a.yaml:13: missing key 'then'",
    ]


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ("{field: A}", "a condition needs an operator, such as 'equals'"),
        ("{equals: A}", "a condition needs a 'field'"),
        ("{feild: A, equals: 1}", "unknown key 'feild'; did you mean 'field'?"),
        ("{ayn: []}", "unknown key 'ayn'; did you mean 'any'?"),
        (
            "{field: A, equals: 1, in: [1]}",
            "one operator per condition: 'in' stands beside 'equals'",
        ),
        (
            "{any: [{field: A, is_set: true}], field: B}",
            "'field' cannot stand beside 'any'; begin another '-' for it",
        ),
        ("{all: []}", "'all' must not be empty"),
        ("{any: {field: A, is_set: true}}", "'any' takes a list, not keys with values"),
        ("Status", "a condition takes keys with values, not 'Status'"),
        ("{field: A, in: Hot}", "'in' takes a list, not 'Hot'"),
        ("{field: A, not_in: []}", "'not_in' must not be empty"),
        ("{field: A, in: [Hot, ~]}", "'in' takes no empty value; ask with 'is_empty: true'"),
        ("{field: A, equals: }", "'equals' takes no empty value; ask with 'is_empty: true'"),
        ("{field: A, equals: ''}", "'equals' takes no empty value; ask with 'is_empty: true'"),
        ("{field: A, equals: [1]}", "'equals' takes one value at a time"),
        ("{field: A, at_least: true}", "'at_least' takes a number or text"),
        (
            "{field: A, is_set: false}",
            "'is_set' takes nothing but true; put it under 'not' to negate",
        ),
        (
            "{field: A, changed: yes}",
            "'changed' takes nothing but true; put it under 'not' to negate",
        ),
        ("{field: A B, is_set: true}", "field takes a field's API name, which 'A B' cannot be"),
        ("{field: 7, is_set: true}", "field takes text, not 7; write it in quotes"),
        ("{field: A, frobnicate: 1}", "unknown operator 'frobnicate'"),
    ],
)
def test_a_wrong_clause_is_refused_with_its_line(clause: str, message: str) -> None:
    assert messages(when(clause)) == [f"a.yaml:5: {message}"]


@pytest.mark.parametrize("operator", ["changed: true", "changed_to: X", "changed_from: X"])
def test_a_deletion_changes_no_field(operator: str) -> None:
    text = when(f"{{field: A, {operator}}}").replace("[insert, update]", "[delete]")
    (message,) = messages(text)
    assert "can never hold here: 'on' must name one of" in message


def test_nothing_can_change_from_a_value_unless_it_was_updated() -> None:
    text = when("{field: A, changed_from: X}").replace("[insert, update]", "[insert, undelete]")
    assert messages(text) == [
        "a.yaml:5: 'changed_from' can never hold here: 'on' must name one of update"
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("on: update", "'on' takes a list, not 'update'"),
        ("on: []", "'on' must not be empty"),
        ("on: [upsert]", "unknown operation 'upsert'; did you mean 'insert'?"),
        ("on: [true]", "operation takes text, not true; write it in quotes"),
    ],
)
def test_a_wrong_operation_is_refused(line: str, message: str) -> None:
    assert messages(f"{HEAD}{TAIL}".replace("on: [insert, update]", line)) == [
        f"a.yaml:3: {message}"
    ]


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("[]", "'then' must not be empty"),
        (
            "[{recipient: Email}]",
            (
                "an action begins with what it does; it is one of add_to_sequence,"
                " remove_from_sequence, webhook"
            ),
        ),
        (
            "[{add_to_sequense: a, recipient: Email}]",
            "an action begins with what it does; did you mean 'add_to_sequence'?",
        ),
        ("[{add_to_sequence: a}]", "missing key 'recipient'"),
        (
            "[{add_to_sequence: 7, recipient: Email}]",
            "'add_to_sequence' takes text, not 7; write it in quotes",
        ),
        (
            "[{add_to_sequence: a, recipient: Who..Email}]",
            "'recipient' takes a field's API name, which 'Who..Email' cannot be",
        ),
        (
            "[{add_to_sequence: a, recipient: Email, re_enroll: allways}]",
            "unknown 're_enroll' 'allways'; did you mean 'always'?",
        ),
        (
            "[{add_to_sequence: a, recipient: Email, variables: {x: A-B}}]",
            "variable 'x' takes a field's API name, which 'A-B' cannot be",
        ),
        (
            "[{add_to_sequence: a, recipient: Email, variables: {'': A}}]",
            "a variable needs a name",
        ),
        (
            "[{add_to_sequence: a, recipient: Email, variables: [A]}]",
            "'variables' takes keys with values, not a list",
        ),
        ("[{remove_from_sequence: a}]", "missing key 'recipient'"),
        (
            "[{remove_from_sequence: a, recipient: Email, re_enroll: never}]",
            "unknown key 're_enroll'",
        ),
        ("[{webhook: hooks.example}]", "'webhook' takes a URL; it begins with https:// or http://"),
        ("[{webhook: 'https://'}]", "'webhook' takes a URL; this one names no host"),
        (
            "[{webhook: 'https://a:b@c'}]",
            "'webhook' takes a URL; a user and password do not belong in it",
        ),
        ("[{webhook: 'https://[c'}]", "'webhook' takes a URL; this one cannot be read"),
        (
            "[{webhook: 'https://c/ä'}]",
            "'webhook' takes a URL; what is no plain character in it has to be percent-encoded",
        ),
        ("[{webhook: 'https://c', fields: {'': A}}]", "a field needs a name"),
    ],
)
def test_a_wrong_action_is_refused(then: str, message: str) -> None:
    assert messages(f"{HEAD}then: {then}") == [f"a.yaml:4: {message}"]


def test_the_flag_for_the_sync_user_is_true_or_false() -> None:
    assert messages(f"{HEAD}{TAIL}include_sync_user: yes") == [
        "a.yaml:5: 'include_sync_user' takes true or false, not 'yes'"
    ]


def test_the_name_of_a_sequence_has_at_most_255_characters() -> None:
    def then(name: str) -> str:
        return f"{HEAD}{TAIL}".replace("nurture", name)

    assert parse_rules(then("s" * 255), "a.yaml")
    (message,) = messages(then("s" * 256))
    assert message.startswith("a.yaml:4: ")
    assert "255" in message


@pytest.mark.parametrize(
    ("line", "seconds"),
    [("90m", 5400), ("36h", 129_600), ("7d", 604_800), ("2 weeks", 1_209_600), ("1 day", 86_400)],
)
def test_max_age_is_a_number_with_a_unit(line: str, seconds: int) -> None:
    (rule,) = parse_rules(f"{HEAD}{TAIL}max_age: {line}", "a.yaml")
    assert rule.max_age == seconds


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("max_age: 24", "'max_age' takes a time such as 90m, 24h, 7d or 2w, not 24"),
        ("max_age: 0h", "'max_age' takes a time such as 90m, 24h, 7d or 2w, not '0h'"),
        ("ceiling: 0", "'ceiling' takes a whole number from 1, not 0"),
        ("ceiling: true", "'ceiling' takes a whole number from 1, not true"),
        ("ceiling: 1.5", "'ceiling' takes a whole number from 1, not 1.5"),
        ("missing_parent: emty", "unknown 'missing_parent' 'emty'; did you mean 'empty'?"),
    ],
)
def test_a_wrong_brake_is_refused(line: str, message: str) -> None:
    assert messages(f"{HEAD}{TAIL}{line}") == [f"a.yaml:5: {message}"]


def test_brakes_have_defaults_that_keep_a_wrong_rule_from_mailing_everyone() -> None:
    (rule,) = parse_rules(f"{HEAD}{TAIL}", "a.yaml")
    assert (rule.max_age, rule.ceiling, rule.missing_parent) == (86_400, 1000, MissingParent.WAIT)


def test_a_document_knows_where_its_conditions_fields_and_sequences_stand() -> None:
    text = """\
# first
rule: a
object: Opportunity
on: [update]
when:
  - {field: Account.Industry, equals: Retail}
then:
  - add_to_sequence: nurture
    recipient: Owner.Email
---
rule: b
object: Lead
on: [update]
then: [{remove_from_sequence: nurture, recipient: Email}]
"""
    one, other = parse_documents(text, "a.yaml")
    condition = Condition("Account.Industry", Operator.EQUALS, "Retail")
    assert (one.line, other.line) == (2, 11)
    known = (condition, "Account.Industry", "nurture", "Owner.Email")
    assert [one.lines[key] for key in known] == [6, 6, 8, 9]
    assert other.lines["nurture"] == 14
    assert one.text.startswith("# first\nrule: a")
    assert other.text.startswith("---\nrule: b")


def test_one_file_may_hold_a_rule_and_a_sequence_of_one_name() -> None:
    found = parse_documents(f"{HEAD}{TAIL}---\nsequence: a\n", "a.yaml")
    assert [type(one.content) for one in found] == [Rule, Sequence]
