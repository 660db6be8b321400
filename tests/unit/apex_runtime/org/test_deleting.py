"""Deletion and undelete, merge, lead conversion: which triggers fire, and with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.apex_runtime.org.trigger_log import Log, lead

if TYPE_CHECKING:
    from tests.unit.apex_runtime.org.conftest import Deploy


def test_a_deleted_record_stays_as_a_tombstone_and_can_come_back(deploy: Deploy) -> None:
    # Guide page apex_triggers_recovered_records: only after undelete fires
    org = deploy()
    log = Log(org, "Lead")
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x"))
        assert saved.record_id is not None
        tx.delete(saved.record_id)
    assert org.select("SELECT Id FROM Lead") == []
    assert len(org.select("SELECT Id FROM Lead WHERE IsDeleted = true ALL ROWS")) == 1
    with org.transaction() as tx:
        tx.undelete(saved.record_id)
    assert len(org.select("SELECT Id FROM Lead")) == 1
    assert log.events[2:] == ["BEFORE_DELETE", "AFTER_DELETE", "AFTER_UNDELETE"]
    assert log.calls[3] == ("AFTER_DELETE", ["x"], None)


def test_no_trigger_fires_for_cascade_deletes_nor_for_their_undelete(deploy: Deploy) -> None:
    # Guide page apex_triggers_ignoring_operations
    org = deploy()
    with org.transaction() as tx:
        (account,) = tx.insert("Account", {"Name": "Acme"})
        (contact,) = tx.insert("Contact", {"LastName": "x", "AccountId": account.record_id})
        tx.insert("Task", {"Subject": "call", "WhoId": contact.record_id})
    log = Log(org, "Account", "Contact", "Task", field="Name")
    assert account.record_id is not None
    with org.transaction() as tx:
        tx.delete(account.record_id)
    assert org.select("SELECT Id FROM Contact") == org.select("SELECT Id FROM Task") == []
    with org.transaction() as tx:
        tx.undelete(account.record_id)
    assert len(org.select("SELECT Id FROM Contact")) == len(org.select("SELECT Id FROM Task")) == 1
    assert log.events == ["BEFORE_DELETE", "AFTER_DELETE", "AFTER_UNDELETE"]
    assert log.calls[1][1] == ["Acme"]


def test_a_merge_is_one_delete_of_the_losers_and_one_update_of_the_winner(deploy: Deploy) -> None:
    # Guide page apex_triggers_merge_statements: MasterRecordId in after delete only
    org = deploy()
    with org.transaction() as tx:
        winner, first, second = (
            each.record_id for each in tx.insert("Account", *({"Name": n} for n in "abc"))
        )
        tx.insert("Contact", {"LastName": "x", "AccountId": first})
    log = Log(org, "Account", "Contact", field="MasterRecordId")
    assert winner is not None
    assert first is not None
    assert second is not None
    with org.transaction() as tx:
        tx.merge(winner, first, second)
    assert log.calls == [
        ("BEFORE_DELETE", [None, None], None),
        ("AFTER_DELETE", [winner, winner], None),
        ("BEFORE_UPDATE", [None], [None]),
        ("AFTER_UPDATE", [None], [None]),
    ]
    assert org.select("SELECT AccountId FROM Contact")[0].fields["AccountId"] == winner


def test_lead_conversion_inserts_three_records_and_updates_the_lead(deploy: Deploy) -> None:
    # Guide page apex_triggers_ignoring_operations
    org = deploy()
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x"))
    log = Log(org, "Lead", "Account", "Contact", "Opportunity", field="IsConverted")
    assert saved.record_id is not None
    with org.transaction() as tx:
        converted = tx.convert_lead(saved.record_id, opportunity="Big")
    assert log.events == ["BEFORE_INSERT", "AFTER_INSERT"] * 3 + ["BEFORE_UPDATE", "AFTER_UPDATE"]
    assert log.calls[-1][1:] == ([False], [True])
    (stored,) = org.select("SELECT ConvertedContactId, ConvertedOpportunityId FROM Lead")
    assert stored.fields["ConvertedContactId"] == converted.contact_id


def test_lead_conversion_fires_nothing_where_the_org_does_not_validate(deploy: Deploy) -> None:
    org = deploy()
    with org.transaction() as tx:
        (saved,) = tx.insert("Lead", lead("x"))
    log = Log(org, "Lead", "Account", "Contact")
    org.validates_converted_leads = False
    assert saved.record_id is not None
    with org.transaction() as tx:
        tx.convert_lead(saved.record_id)
    assert log.calls == []
    assert org.select("SELECT IsConverted FROM Lead")[0].fields["IsConverted"] is True
