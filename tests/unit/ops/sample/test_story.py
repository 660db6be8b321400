"""The demo's history is true to type, hangs together, and shows each rule match and miss."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ops.sample.callout import body
from ops.sample.records import SampleOrg
from ops.sample.rules import sample_rules
from ops.sample.seeds import KEY_PREFIXES
from ops.sample.story import story
from ops.sample.timeline import Run
from pipeline.change import Change
from pipeline.objects import Operation, SObject, long_id
from rules import Enroll, RuleSet, compile_rule, parse_rules

if TYPE_CHECKING:
    from ops.sample.capture import Capture, Record

SEEDS = range(12)
RUN = Run(start_ms=1_795_430_400_123, salt="run 1")
RULES = RuleSet(
    compile_rule(rule, version=1)
    for name, text in sample_rules()
    for rule in parse_rules(text, name)
)
STAMPS = {"LastModifiedDate", "LastModifiedById", "SystemModstamp"}

DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000\+0000")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
ADDRESS = re.compile(r"[a-z0-9.-]+@(?:[a-z-]+\.example|example\.(?:com|org))")
# Which form a field's value has, by the field's name.
DATETIME_FIELDS = re.compile(
    r"(?:(?:Created|LastModified|LastStageChange)Date|SystemModstamp|\w+DateTime)"
)
DATE_FIELDS = re.compile(r"(?:Birthdate|CloseDate|ActivityDate|ConvertedDate)")
MONEY_FIELDS = re.compile(r"(?:AnnualRevenue|Amount|ExpectedRevenue)")
BOOLEAN_FIELDS = re.compile(r"(?:Is[A-Z]\w+|Has[A-Z]\w+|DoNotCall)")
PICKLISTS: dict[tuple[SObject, str], set[str]] = {
    (SObject.LEAD, "Status"): {"Open", "Working", "Nurturing", "Qualified", "Unqualified"},
    (SObject.LEAD, "Rating"): {"Hot", "Warm", "Cold"},
    (SObject.ACCOUNT, "Rating"): {"Hot", "Warm", "Cold"},
    (SObject.TASK, "Status"): {"Not Started", "Completed"},
    (SObject.EVENT, "ShowAs"): {"Busy", "Free"},
    (SObject.OPPORTUNITY, "StageName"): {
        *("Prospecting", "Needs Analysis", "Negotiation/Review", "Closed Won")
    },
}


@pytest.fixture(params=SEEDS)
def captures(request: pytest.FixtureRequest) -> list[Capture]:
    return list(story(SampleOrg(request.param), RUN))


def records(captures: list[Capture]) -> list[tuple[SObject, Record]]:
    return [
        (capture.object, record)
        for capture in captures
        for change in capture.changes
        for record in (change.old, change.new)
        if record is not None
    ]


def inserted(captures: list[Capture], sobject: SObject) -> list[Record]:
    return [
        change.new
        for capture in captures
        if (capture.object, capture.operation) == (sobject, Operation.INSERT)
        for change in capture.changes
        if change.new is not None
    ]


def test_the_same_seed_and_run_tell_the_same_bytes() -> None:
    tellings = [[*map(body, story(SampleOrg(7), RUN))] for _ in range(2)]
    assert tellings[0] == tellings[1]


def test_another_salt_changes_no_record_but_every_identity() -> None:
    org = SampleOrg(7)
    once = list(story(org, RUN))
    again = list(story(org, Run(RUN.start_ms, salt="run 2")))
    assert [capture.changes for capture in once] == [capture.changes for capture in again]
    assert not {c.capture_id for c in once} & {c.capture_id for c in again}
    assert not {c.transaction_id for c in once} & {c.transaction_id for c in again}


def test_some_thirty_callouts_touch_every_object(captures: list[Capture]) -> None:
    assert 25 <= len(captures) <= 35
    assert {capture.object for capture in captures} == set(SObject)
    assert {capture.operation for capture in captures} == {
        *(Operation.INSERT, Operation.UPDATE, Operation.DELETE)
    }


def test_captures_are_in_order_and_each_is_itself(captures: list[Capture]) -> None:
    orders = [(c.captured_at, c.sequence, c.capture_id) for c in captures]
    assert orders == sorted(orders)
    assert captures[0].captured_at == RUN.start_ms
    assert len({c.capture_id for c in captures}) == len(captures)


def test_ids_have_their_objects_prefix_and_a_right_checksum(captures: list[Capture]) -> None:
    for sobject, record in records(captures):
        record_id = str(record["Id"])
        assert re.fullmatch(KEY_PREFIXES[sobject] + r"[0-9A-Za-z]{12}[A-Z0-5]{3}", record_id)
        assert record_id == long_id(record_id[:15])
        assert record["attributes"] == {
            "type": sobject.value,
            "url": f"/services/data/v65.0/sobjects/{sobject}/{record_id}",
        }
        assert list(record)[:2] == ["attributes", "Id"]


def test_values_are_true_to_their_fields_type(captures: list[Capture]) -> None:
    for sobject, record in records(captures):
        for field, value in record.items():
            assert value is not None
            if DATETIME_FIELDS.fullmatch(field):
                assert DATETIME.fullmatch(str(value)), field
            elif DATE_FIELDS.fullmatch(field):
                assert DATE.fullmatch(str(value)), field
            elif MONEY_FIELDS.fullmatch(field):
                assert isinstance(value, Decimal), field
                assert value.as_tuple().exponent == -2, field
            elif BOOLEAN_FIELDS.fullmatch(field):
                assert isinstance(value, bool), field
            elif field in {"Email", "Username"}:
                assert ADDRESS.fullmatch(str(value)), value
            elif (sobject, field) in PICKLISTS:
                assert value in PICKLISTS[sobject, field]


def test_references_point_at_records_that_the_story_told_before(captures: list[Capture]) -> None:
    """ProfileId alone points elsewhere: Penstock carries no profiles.

    A converted Lead names what its own transaction inserted just before.
    """
    known: dict[str, SObject] = {}
    for capture in captures:
        told = records([capture])
        known |= {str(record["Id"]): sobject for sobject, record in told}
        assert known[capture.actor_id] is SObject.USER
        for _, record in told:
            for field, value in record.items():
                if field.endswith("Id") and field not in {"Id", "ProfileId"}:
                    assert str(value) in known, field
            for field in ("OwnerId", "CreatedById"):
                if field in record:
                    assert known[str(record[field])] is SObject.USER


def test_old_is_what_new_was_and_differs_in_more_than_stamps(captures: list[Capture]) -> None:
    latest: dict[str, Record] = {}
    for capture in captures:
        for change in capture.changes:
            record = change.new or change.old
            assert record is not None
            record_id = str(record["Id"])
            if capture.operation is Operation.INSERT:
                assert record_id not in latest
            elif record_id in latest:
                assert change.old == latest[record_id]
            if change.old is not None and change.new is not None:
                fields = (change.old.keys() | change.new.keys()) - STAMPS
                assert any(change.old.get(field) != change.new.get(field) for field in fields)
            latest[record_id] = record


def test_only_users_are_told_of_without_an_insert(captures: list[Capture]) -> None:
    told = {(sobject, str(record["Id"])) for sobject, record in records(captures)}
    new = {
        (sobject, str(record["Id"]))
        for sobject in SObject
        for record in inserted(captures, sobject)
    }
    assert {sobject for sobject, _ in told - new} == {SObject.USER}


def test_a_field_is_cleared_and_a_lead_is_deleted(captures: list[Capture]) -> None:
    assert any(
        change.old.keys() - change.new.keys()
        for capture in captures
        for change in capture.changes
        if change.old is not None and change.new is not None
    )
    assert [c.object for c in captures if c.operation is Operation.DELETE] == [SObject.LEAD]


def test_a_conversion_is_one_transaction_of_four_triggers(captures: list[Capture]) -> None:
    (last,) = [c.transaction_id for c in captures if c.sequence == 3]
    account, contact, deal, lead = [c for c in captures if c.transaction_id == last]
    assert [c.sequence for c in (account, contact, deal, lead)] == [0, 1, 2, 3]
    new = lead.changes[0].new
    assert new is not None
    assert new["IsConverted"] is True
    for field, capture in {
        "ConvertedAccountId": account,
        "ConvertedContactId": contact,
        "ConvertedOpportunityId": deal,
    }.items():
        born = capture.changes[0].new
        assert born is not None
        assert new[field] == born["Id"]


def test_text_of_many_scripts_is_told(captures: list[Capture]) -> None:
    text = b"".join(map(body, captures)).decode()
    assert any(ord(char) > 0xFFFF for char in text), "emoji"
    assert any("\u0590" < char < "\uffff" for char in text), "scripts beyond Latin and Greek"
    assert r"\r\n" in text


def test_the_rules_match_and_miss_as_the_story_says(captures: list[Capture]) -> None:
    hot, large, _near_miss, cooled, _lost, walk_in = (
        lead["Email"] for lead in inserted(captures, SObject.LEAD)
    )
    first, _no_address, _opted_out, fourth, converted = (
        contact.get("Email") for contact in inserted(captures, SObject.CONTACT)
    )
    assert converted == hot
    assert [match for capture in captures for match in matches(capture)] == [
        ("welcome-new-contacts", first),
        ("welcome-new-contacts", fourth),
        ("hot-leads-to-nurture", walk_in),
        ("large-leads-to-executive-touch", large),
        ("hot-leads-to-nurture", hot),
        ("hot-leads-to-nurture", large),
        ("win-back-cooled-leads", cooled),
        ("welcome-new-contacts", converted),
    ]


def test_the_near_misses_miss_by_one_condition(captures: list[Capture]) -> None:
    _, _, near_miss, _, lost, _ = inserted(captures, SObject.LEAD)
    after = {str(record["Id"]): record for _, record in records(captures)}
    revenue = after[str(near_miss["Id"])]["AnnualRevenue"]
    assert after[str(near_miss["Id"])]["Status"] == "Qualified"
    assert isinstance(revenue, Decimal)
    assert 900_000 < revenue < 1_000_000
    assert str(lost["Email"]).endswith("@example.org")
    assert after[str(lost["Id"])]["Status"] == "Unqualified"
    assert (lost["Rating"], after[str(lost["Id"])]["Rating"]) == ("Hot", "Cold")


def matches(capture: Capture) -> list[tuple[str, str | None]]:
    found = []
    for change in capture.changes:
        record = change.new or change.old
        assert record is not None
        whole = Change(
            org_id=capture.org_id,
            object=capture.object,
            operation=capture.operation,
            record_id=str(record["Id"]),
            capture_id=capture.capture_id,
            transaction_id=capture.transaction_id,
            sequence=capture.sequence,
            captured_at=capture.captured_at,
            actor_id=capture.actor_id,
            old=change.old,
            new=change.new,
        )
        for match in RULES.evaluate(whole, by_sync_user=False).matches:
            found += [
                (match.rule, action.recipient)
                for action in match.actions
                if isinstance(action, Enroll)
            ]
    return found
