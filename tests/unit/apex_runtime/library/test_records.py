"""Records, tokens and descriptions. [apex_methods_system_sobject]"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, SObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


def test_fields_are_read_and_written_by_name_in_any_case(apex: Apex) -> None:
    body = """
    Lead l = new Lead(firstname = 'a', Score__c = 1);
    l.LASTNAME = 'b'; l.put('status', 'New'); l.Score__c++;
    SObject row = l;
    System.debug(l.FirstName + row.get('lastName') + row.get(Lead.Status) + row.get('score__c'));
    System.debug(row.get('OwnerId') + ' ' + l.isSet('Status') + l.isSet('OwnerId') + row.Id);
    System.debug(row.getPopulatedFieldsAsMap().keySet());
    System.debug(row);
    """
    assert apex.run(body) == [
        "abNew2",
        "null truefalsenull",
        "{FirstName, Score__c, LastName, Status}",
        "Lead:{FirstName=a, Score__c=2, LastName=b, Status=New}",
    ]


@pytest.mark.parametrize(
    ("body", "type_name"),
    [
        ("new Lead().get('Nothing__c');", "SObjectException"),
        ("new Lead().put('Nothing__c', 1);", "SObjectException"),
        ("new Lead().put('Score__c', 'text');", "SObjectException"),
        ("new Lead().put('LastName', 1);", "SObjectException"),
        ("Lead l; l.LastName = 'x';", "NullPointerException"),
    ],
)
def test_what_a_record_refuses_when_it_runs(apex: Apex, body: str, type_name: str) -> None:
    with pytest.raises(ApexThrown) as caught:
        apex.run(body)
    assert caught.value.type_name == type_name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("new Lead(Nothing__c = 1);", "Variable does not exist: Nothing__c on Lead"),
        ("Lead l = new Lead(); l.Nothing__c = 1;", "Variable does not exist: Nothing__c on Lead"),
        ("String s = new Lead().Nothing__c;", "Variable does not exist"),
        ("new Lead(Score__c = 'x');", "Illegal assignment from String to Decimal"),
        ("new Lead(CreatedDate = System.now());", "Field is not writeable: Lead.CreatedDate"),
        (
            "SObject s = new Lead(); s.LastName = 'x';",
            "Variable does not exist: LastName on SObject",
        ),
        ("Object o = Lead.Nothing__c;", "Invalid field Nothing__c"),
        ("Opportunity o;", "unknown type Opportunity"),
        ("Lead l = new Account();", "Illegal assignment from Account to Lead"),
    ],
)
def test_fields_and_types_of_the_schema_are_checked_when_loading(
    refusals: Callable[..., str], body: str, message: str
) -> None:
    assert message in refusals(body)


def test_a_record_of_an_after_trigger_is_read_only(apex: Apex) -> None:
    # Guide page apex_triggers_context_variables
    source = "public class W { public static void write(Lead l) { l.LastName = 'x'; } }"
    record = SObject("Lead", read_only=True)
    with pytest.raises(ApexThrown, match="FinalException: Record is read-only"):
        apex.session(source).call("W", "write", [record])


def test_a_clone_leaves_out_what_identifies_a_record(apex: Apex) -> None:
    body = """
    Lead l = new Lead(Id = '00Q5g00000HotLd', LastName = 'x');
    Lead copied = l.clone(); copied.LastName = 'y';
    System.debug(copied.Id + ' ' + l.LastName + l.clone(true).Id);
    System.debug(new List<Lead>{ l }.deepClone(true)[0].Id);
    """
    assert apex.run(body) == ["null x00Q5g00000HotLdEAJ", "00Q5g00000HotLdEAJ"]


def test_tokens_and_descriptions(apex: Apex) -> None:
    # Guide page apex_dynamic_describe_objects_understanding
    body = """
    SObject row = new Lead();
    SObjectType type = row.getSObjectType();
    System.debug(type + ' ' + (type == Lead.SObjectType) + String.valueOf(type));
    Map<String, SObjectField> fields = type.getDescribe().fields.getMap();
    System.debug(fields.containsKey('lastname') + ' ' + fields.get('lastname'));
    System.debug(fields.get('secret__c').getDescribe().isEncrypted());
    System.debug(fields.get('status').getDescribe().getName() + type.getDescribe().getName());
    System.debug(Schema.SObjectType.Lead.getName() + Schema.SObjectType.Lead.getKeyPrefix());
    System.debug(((Id) '00Q5g00000HotLd').getSObjectType());
    Map<SObjectType, Integer> m = new Map<SObjectType, Integer>{ type => 1 };
    System.debug(m.get(Lead.SObjectType) + ' ' + (type.newSObject() instanceof Lead));
    """
    assert apex.run(body) == [
        "Lead trueLead",
        "true LastName",
        "true",
        "StatusLead",
        "Lead00Q",
        "Lead",
        "1 true",
    ]


def test_parents_are_reached_by_relationship(apex: Apex) -> None:
    source = "public class R { public static String owner(Lead l) { return l?.Owner?.Name; } }"
    owner = SObject("User", {"Name": "Ada"})
    session = apex.session(source)
    assert session.call("R", "owner", [SObject("Lead", {"Owner": owner})]) == "Ada"
    assert session.call("R", "owner", [SObject("Lead")]) is None


def test_custom_settings_are_read_from_the_platform(apex: Apex) -> None:
    # Guide page apex_customsettings
    assert apex.value("Options__c.getInstance().On__c") is True
    apex.value("Options__c.getOrgDefaults()")
    apex.value("Options__c.getValues('0055g00000AbCdE')")
    assert apex.platform.done == [
        ("setting", "Options__c", None, True),
        ("setting", "Options__c", None, False),
        ("setting", "Options__c", "0055g00000AbCdEAAV", False),
    ]
