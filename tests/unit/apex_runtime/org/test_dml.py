"""Insert, update and upsert: chunks, order of execution, checks, partial saves."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.values import ApexDatetime, ApexThrown
from tests.unit.apex_runtime.org.trigger_log import Log, lead

if TYPE_CHECKING:
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import TriggerContext
    from tests.unit.apex_runtime.org.conftest import Deploy


def test_a_trigger_gets_at_most_200_records(deploy: Deploy) -> None:
    # Guide page apex_triggers_bulk_idioms: chunks of 200
    org = deploy()
    log = Log(org, "Lead")
    with org.transaction() as tx:
        tx.insert("Lead", *(lead(str(n)) for n in range(450)))
    assert [len(new or ()) for event, _, new in log.calls if event == "AFTER_INSERT"] == [
        200
    ] * 2 + [50]


def test_ids_have_the_prefix_of_their_type_and_eighteen_characters(deploy: Deploy) -> None:
    org = deploy()
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x"))
    assert saved.record_id is not None
    assert saved.record_id.startswith("00Q")
    assert len(saved.record_id) == 18


def test_statics_live_as_long_as_the_transaction(deploy: Deploy) -> None:
    # Guide page apex_classes_static: static within one transaction
    org = deploy(
        "public class Counter { public static Integer calls = 0; }",
        "trigger Count on Lead (before insert) {"
        " Counter.calls++;"
        " for (Lead l : Trigger.new) { l.Title = String.valueOf(Counter.calls); } }",
    )
    with org.transaction() as tx:
        tx.insert("Lead", *(lead(str(n)) for n in range(201)))
    with org.transaction() as tx:
        tx.insert("Lead", lead("next"))
    titles = [each.fields["Title"] for each in org.select("SELECT Title FROM Lead")]
    assert titles == ["1"] * 200 + ["2", "1"]


def test_nulls_and_absent_fields_are_not_populated_in_trigger_records(deploy: Deploy) -> None:
    org = deploy()
    seen: list[set[str]] = []
    org.add_trigger("Lead", "AFTER_INSERT", lambda _, c: seen.append(set((c.new or [])[0].fields)))
    with org.transaction() as tx:
        tx.insert("Lead", lead("x", Email=None, Title=""))
    assert seen[0].isdisjoint({"Email", "Title", "FirstName"})
    assert {
        "Id",
        "Name",
        "Status",
        "OwnerId",
        "CreatedDate",
        "SystemModstamp",
        "IsConverted",
    } <= seen[0]


def test_records_of_an_after_trigger_are_read_only(deploy: Deploy) -> None:
    # Guide page apex_triggers_context_variables_considerations
    org = deploy("trigger T on Lead (after insert) { Trigger.new[0].Title = 'x'; }")
    with org.transaction() as tx, pytest.raises(ApexThrown, match="read-only"):
        tx.insert("Lead", lead("x"))


def test_moments_are_stored_in_whole_seconds(deploy: Deploy) -> None:
    org = deploy(start_ms=1_795_430_400_987)
    with org.transaction() as tx:
        tx.insert("Lead", lead("x", EmailBouncedDate=ApexDatetime(1_700_000_000_123)))
    (stored,) = org.select("SELECT CreatedDate, SystemModstamp, EmailBouncedDate FROM Lead")
    assert stored.fields["CreatedDate"] == ApexDatetime(1_795_430_400_000)
    assert stored.fields["SystemModstamp"] == ApexDatetime(1_795_430_400_000)
    assert stored.fields["EmailBouncedDate"] == ApexDatetime(1_700_000_000_000)


def test_text_and_decimals_are_stored_as_they_are(deploy: Deploy) -> None:
    org = deploy()
    text = "Zoë 🦊 " + "long " * 1000
    with org.transaction() as tx:
        tx.insert("Lead", lead("x", Description=text, AnnualRevenue=Decimal("1234567.890")))
    (stored,) = org.select("SELECT Description, AnnualRevenue FROM Lead")
    assert stored.fields["Description"] == text
    assert str(stored.fields["AnnualRevenue"]) == "1234567.890"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"FirstName": "x" * 41}, "STRING_TOO_LONG"),
        ({"LastName": None}, "REQUIRED_FIELD_MISSING"),
        ({"Email": "nobody"}, "INVALID_EMAIL_ADDRESS"),
        ({"AnnualRevenue": Decimal(10) ** 18}, "NUMBER_OUTSIDE_VALID_RANGE"),
        ({"OwnerId": "005000000000001AAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"OwnerId": "001000000000001AAA"}, "FIELD_INTEGRITY_EXCEPTION"),
    ],
)
def test_a_value_that_the_field_refuses_fails_the_record(
    deploy: Deploy, fields: dict[str, Any], status: str
) -> None:
    org = deploy()
    with org.transaction() as tx:
        (refused,) = tx.insert("Lead", {**lead("x"), **fields}, all_or_none=False)
    assert not refused.success
    assert refused.errors[0][0] == status


def test_unknown_and_read_only_fields_are_refused(deploy: Deploy) -> None:
    org = deploy()
    for fields in ({"Nothing__c": 1}, {"IsConverted": True}):
        with pytest.raises(NotModelled), org.transaction() as tx:
            tx.insert("Lead", lead("x", **fields))


def test_all_or_none_undoes_the_whole_statement_and_what_triggers_did(deploy: Deploy) -> None:
    # Guide page apex_dml_bulk_exceptions
    org = deploy(
        "trigger T on Lead (after insert) { insert new Task(Subject = 'made by trigger'); }"
    )
    with org.transaction() as tx:
        tx.insert("Lead", lead("kept"))
        with pytest.raises(ApexThrown, match=r"row 200.*STRING_TOO_LONG"):
            tx.insert("Lead", *(lead("x") for _ in range(200)), lead("x", FirstName="y" * 41))
    assert len(org.select("SELECT Id FROM Lead")) == 1
    assert len(org.select("SELECT Id FROM Task")) == 1


def test_a_partial_save_fires_triggers_again_and_keeps_statics_only(deploy: Deploy) -> None:
    # Guide page apex_dml_bulk_exceptions: the rows that are left, limits as before
    org = deploy(
        "public class Sender implements Queueable {"
        " public Integer n; public Sender(Integer n) { this.n = n; }"
        " public void execute(QueueableContext c) { } }",
        "public class Count { public static List<String> calls = new List<String>(); }",
        "trigger T on Lead (after insert) {"
        " Count.calls.add(Trigger.new.size() + '/' + Limits.getQueueableJobs());"
        " insert new Task(Subject = String.join(Count.calls, ' '));"
        " System.enqueueJob(new Sender(Trigger.new.size()));"
        " for (Lead l : Trigger.new) { if (l.FirstName == 'bad') { l.addError('no'); } } }",
    )
    with org.transaction() as tx:
        saved = tx.insert(
            "Lead", lead("a"), lead("b", FirstName="bad"), lead("c"), all_or_none=False
        )
    assert [each.success for each in saved] == [True, False, True]
    assert [each.fields["Subject"] for each in org.select("SELECT Subject FROM Task")] == [
        "3/0 2/0"
    ]
    org.run_until_idle()
    assert len(org.async_executions) == 1
    assert {each.fields["LastName"] for each in org.select("SELECT LastName FROM Lead")} == {
        "a",
        "c",
    }


def test_a_partial_save_gives_up_after_three_attempts(deploy: Deploy) -> None:
    # Guide page apex_dml_bulk_exceptions: "Too many batch retries in the presence of Apex triggers"
    org = deploy()

    def refuse_first(tx: Transaction, context: TriggerContext) -> None:
        assert context.new is not None
        tx.add_error(context.new[0], None, "first one refused")

    org.add_trigger("Lead", "AFTER_INSERT", refuse_first)
    with org.transaction() as tx:
        saved = tx.insert("Lead", *(lead(str(n)) for n in range(5)), all_or_none=False)
    assert not any(each.success for each in saved)
    assert saved[4].errors[0][1].startswith("Too many batch retries")


def test_a_validation_rule_refuses_the_record_between_the_triggers(deploy: Deploy) -> None:
    # Guide page apex_triggers_order_of_execution
    org = deploy()
    log = Log(org, "Lead")
    org.add_validation_rule("Lead", lambda row: "No." if row.get("Title") == "Spy" else None)
    with org.transaction() as tx:
        saved = tx.insert("Lead", lead("a"), lead("b", Title="Spy"), all_or_none=False)
    assert [each.success for each in saved] == [True, False]
    assert saved[1].errors == [("FIELD_CUSTOM_VALIDATION_EXCEPTION", "No.")]
    assert log.calls == [
        ("BEFORE_INSERT", None, ["a", "b"]),
        ("AFTER_INSERT", None, ["a"]),
        ("BEFORE_INSERT", None, ["a"]),
        ("AFTER_INSERT", None, ["a"]),
    ]


def test_a_workflow_field_update_fires_update_triggers_once_more_with_the_first_old(
    deploy: Deploy,
) -> None:
    # Guide page apex_triggers_context_variables_considerations
    org = deploy()
    log = Log(org, "Lead", field="Title")
    org.add_field_update("Lead", lambda now, _: {"Title": f"{now.get('Title')}!"})
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x", Title="a"))
    log.calls.clear()
    with org.transaction() as tx:
        tx.update("Lead", {"Id": saved.record_id, "Title": "b"})
    assert log.calls == [
        ("BEFORE_UPDATE", ["a!"], ["b"]),
        ("AFTER_UPDATE", ["a!"], ["b"]),
        ("BEFORE_UPDATE", ["a!"], ["b!"]),
        ("AFTER_UPDATE", ["a!"], ["b!"]),
    ]


def test_an_exception_in_a_trigger_refuses_every_record_of_the_chunk(deploy: Deploy) -> None:
    org = deploy("trigger T on Lead (before insert) { Integer zero = 0; Integer x = 1 / zero; }")
    with org.transaction() as tx:
        saved = tx.insert("Lead", lead("a"), lead("b"), all_or_none=False)
    assert {each.errors[0][0] for each in saved} == {"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY"}


def test_a_person_account_fires_account_triggers_only(deploy: Deploy) -> None:
    org = deploy()
    log = Log(org, "Account", "Contact")
    with org.transaction() as tx:
        tx.insert("Account", {"FirstName": "Ada", "LastName": "L", "PersonEmail": "a@b.example"})
    assert log.events == ["BEFORE_INSERT", "AFTER_INSERT"]
    (account,) = org.select("SELECT Name, IsPersonAccount, PersonContactId FROM Account")
    assert account.fields["Name"] == "Ada L"
    (contact,) = org.select("SELECT Id, Email FROM Contact")
    assert contact.fields == {"Id": account.fields["PersonContactId"], "Email": "a@b.example"}


def test_an_upsert_fires_insert_and_update_triggers(deploy: Deploy) -> None:
    org = deploy(fields={"Lead": ["Key__c Text(20) unique;external_id"]})
    with org.transaction() as tx:
        tx.insert("Lead", lead("x", Key__c="K1"))
    log = Log(org, "Lead", field="Key__c")
    with org.transaction() as tx:
        saved = tx.upsert(
            "Lead", lead("y", Key__c="k1"), lead("z", Key__c="k2"), external_id="Key__c"
        )
    assert [each.created for each in saved] == [False, True]
    assert log.events == ["BEFORE_INSERT", "AFTER_INSERT", "BEFORE_UPDATE", "AFTER_UPDATE"]


def test_a_unique_field_refuses_a_second_record(deploy: Deploy) -> None:
    org = deploy(fields={"Lead": ["Key__c Text(20) unique"]})
    with org.transaction() as tx:
        saved = tx.insert("Lead", lead("x", Key__c="a"), lead("y", Key__c="A"), all_or_none=False)
    assert saved[1].errors[0][0] == "DUPLICATE_VALUE"


def test_a_formula_is_computed_for_triggers_and_queries(deploy: Deploy) -> None:
    org = deploy()
    org.catalog.add_field("Lead", "Twice__c Text(80)", formula=lambda row: 2 * str(row["LastName"]))
    log = Log(org, "Lead", field="Twice__c")
    with org.transaction() as tx:
        tx.insert("Lead", lead("x"))
    assert log.calls[1] == ("AFTER_INSERT", None, ["xx"])
    assert org.select("SELECT Twice__c FROM Lead")[0].fields["Twice__c"] == "xx"


def test_an_update_of_the_same_record_twice_in_one_statement_is_refused(deploy: Deploy) -> None:
    org = deploy()
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x"))
        same = {"Id": saved.record_id}
        with pytest.raises(ApexThrown, match="Duplicate id in list"):
            tx.update("Lead", same, same)


def test_an_event_knows_its_end_and_its_account(deploy: Deploy) -> None:
    org = deploy()
    with org.transaction() as tx:
        (account,) = tx.insert("Account", {"Name": "Acme"})
        start = ApexDatetime(1_795_430_400_000)
        tx.insert(
            "Event",
            {"StartDateTime": start, "DurationInMinutes": 30, "WhatId": account.record_id},
        )
    (event,) = org.select("SELECT EndDateTime, AccountId FROM Event")
    assert event.fields["EndDateTime"] == ApexDatetime(start.ms + 1_800_000)
    assert event.fields["AccountId"] == account.record_id


def test_each_occurrence_of_a_recurring_event_is_a_record(deploy: Deploy) -> None:
    org = deploy()
    log = Log(org, "Event", field="IsRecurrence")
    starts = [ApexDatetime(1_795_430_400_000 + week * 604_800_000) for week in range(3)]
    with org.transaction() as tx:
        saved = tx.insert_event_series({"Subject": "Standup", "DurationInMinutes": 15}, starts)
    assert [new for event, _, new in log.calls if event == "AFTER_INSERT"] == [[True], [False] * 3]
    series = str(saved[0].record_id)
    rows = org.select("SELECT RecurrenceActivityId FROM Event WHERE IsRecurrence = false")
    assert {row.fields["RecurrenceActivityId"] for row in rows} == {series}
