"""Hierarchy settings, users, and what a sandbox copy keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.values import SObject
    from tests.unit.apex_runtime.org.conftest import Deploy

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_XMLNS = 'xmlns="http://soap.sforce.com/2006/04/metadata"'
FILES = {
    "objects/Knob__c/Knob__c.object-meta.xml": (
        f"{_HEAD}<CustomObject {_XMLNS}><label>Knob</label><visibility>Protected</visibility>"
        "<customSettingsType>Hierarchy</customSettingsType></CustomObject>"
    ),
    "objects/Knob__c/fields/On__c.field-meta.xml": (
        f"{_HEAD}<CustomField {_XMLNS}><fullName>On__c</fullName><label>x</label>"
        "<type>Checkbox</type><defaultValue>true</defaultValue></CustomField>"
    ),
    "objects/Knob__c/fields/Url__c.field-meta.xml": (
        f"{_HEAD}<CustomField {_XMLNS}><fullName>Url__c</fullName><label>x</label>"
        "<type>Text</type><length>255</length></CustomField>"
    ),
}


@pytest.fixture
def org(deploy: Deploy) -> Org:
    return deploy(files=FILES)


def instance(org: Org, owner: str | None = None, *, merged: bool = True) -> SObject | None:
    with org.transaction() as tx:
        return tx.platform.custom_setting("Knob__c", owner, merged=merged)


def test_without_rows_a_setting_has_its_defaults_and_no_id(org: Org) -> None:
    # Guide page apex_customsettings
    empty = instance(org)
    assert empty is not None
    assert empty.fields == {"On__c": True, "SetupOwnerId": org.users.admin}
    defaults = instance(org, merged=False)
    assert defaults is not None
    assert defaults.fields["SetupOwnerId"] == org.org_id
    assert instance(org, org.users.admin, merged=False) is None


def test_levels_merge_field_by_field_and_a_lower_checkbox_wins(org: Org) -> None:
    # Guide page apex_methods_system_custom_settings: getInstance
    with org.transaction() as tx:
        tx.insert("Knob__c", {"Url__c": "https://o.example", "On__c": True})
        (profile,) = tx.insert("Knob__c", {"SetupOwnerId": org.users.admin_profile, "On__c": False})
    merged = instance(org)
    assert merged is not None
    assert merged.fields["Url__c"] == "https://o.example"
    assert merged.fields["On__c"] is False
    assert merged.fields["Id"] == profile.record_id
    other = instance(org, org.user("jane@example.com"))
    assert other is not None
    assert other.fields["On__c"] is True


def test_a_level_has_one_row_and_a_deleted_one_is_gone(org: Org) -> None:
    with org.transaction() as tx:
        (row,) = tx.insert("Knob__c", {"Url__c": "a"})
        (twin,) = tx.insert("Knob__c", {"Url__c": "b"}, all_or_none=False)
        assert twin.errors[0][0] == "DUPLICATE_VALUE"
        assert row.record_id is not None
        tx.delete(row.record_id)
    merged = instance(org)
    assert merged is not None
    assert "Id" not in merged.fields


def test_apex_reads_and_upserts_settings(org: Org) -> None:
    with org.transaction() as tx:
        tx.anonymous(
            "Knob__c k = Knob__c.getOrgDefaults(); System.assertEquals(null, k.Id);"
            "System.assertEquals(true, k.On__c); k.Url__c = 'https://x.example'; upsert k;"
            "System.assertEquals('https://x.example', Knob__c.getInstance().Url__c);"
            "System.assertEquals(UserInfo.getOrganizationId(), k.SetupOwnerId);"
        )


def test_settings_are_no_setup_objects_for_mixed_dml(org: Org) -> None:
    # Guide page apex_dml_non_mix_sobjects
    with org.transaction() as tx:
        tx.insert("Knob__c", {"Url__c": "a"})
        (mixed,) = tx.update("User", {"Id": org.users.admin, "IsActive": False}, all_or_none=False)
    assert mixed.errors[0][0] == "MIXED_DML_OPERATION"


def test_a_sandbox_has_the_rows_and_settings_under_its_own_org_id(org: Org) -> None:
    with org.transaction() as tx:
        tx.insert("Knob__c", {"Url__c": "a"})
        tx.insert("Lead", {"LastName": "x", "Company": "y"})
    sandbox = org.copy_as_sandbox("00D5g000004XyzBEAS")
    with sandbox.transaction() as tx:
        tx.anonymous(
            "System.assertEquals('00D5g000004XyzBEAS', UserInfo.getOrganizationId());"
            "System.assertEquals('a', Knob__c.getInstance().Url__c);"
            "System.assert([SELECT IsSandbox FROM Organization].IsSandbox);"
            "insert new Lead(LastName = 'z', Company = 'y');"
        )
    assert len(sandbox.select("SELECT Id FROM Lead")) == 2
    assert len(org.select("SELECT Id FROM Lead")) == 1


def test_userinfo_tells_of_the_running_user(org: Org) -> None:
    jane = org.user("jane@example.com", Id="0055g00000AbCdEAAV", LastName="Doe", FirstName="Jane")
    with org.transaction(user=jane) as tx:
        tx.anonymous(
            "System.assertEquals('0055g00000AbCdEAAV', UserInfo.getUserId());"
            "System.assertEquals('Jane Doe', UserInfo.getName());"
            "System.assertEquals('jane@example.com', UserInfo.getUserName());"
            "insert new Task(Subject = 'x');"
        )
    (task,) = org.select("SELECT OwnerId, CreatedBy.Name FROM Task")
    assert task.fields["OwnerId"] == jane
