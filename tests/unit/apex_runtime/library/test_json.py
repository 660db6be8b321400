"""JSON. [apex_class_System_Json]"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown, NotModelled

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


def test_a_record_prints_what_is_populated_explicit_nulls_included(apex: Apex) -> None:
    record = (
        "new Lead(Id = '00Q5g00000HotLd', LastName = 'Ünï😀\"\\n', Status = null, Score__c = 1.50,"
        " Seen__c = Datetime.newInstance(1777636800123L),"
        " Birthdate__c = Date.newInstance(2026, 5, 1), Hot__c = true)"
    )
    assert apex.value(f"JSON.serialize({record})") == (
        '{"attributes":{"type":"Lead","url":"/services/data/v65.0/sobjects/Lead/00Q5g00000HotLdEAJ"},'
        '"Id":"00Q5g00000HotLdEAJ","LastName":"Ünï😀\\"\\n","Status":null,"Score__c":1.50,'
        '"Seen__c":"2026-05-01T12:00:00.123+0000","Birthdate__c":"2026-05-01","Hot__c":true}'
    )
    assert apex.value("JSON.serialize(new Lead(LastName = 'x'))") == (
        '{"attributes":{"type":"Lead","url":"/services/data/v65.0/sobjects/Lead"},"LastName":"x"}'
    )


def test_outside_of_a_record_a_moment_ends_in_z(apex: Apex) -> None:
    value = (
        "JSON.serialize(new Map<String, Object>{ 'at' => Datetime.newInstance(1777636800123L) })"
    )
    assert apex.value(value) == '{"at":"2026-05-01T12:00:00.123Z"}'


def test_instances_print_every_field_but_transient_and_static_ones(apex: Apex) -> None:
    source = """
    public class Body {
        public static Integer s = 1;
        public Integer version = 1;
        private String none;
        transient String gone = 'x';
        public List<Boolean> flags = new List<Boolean>{ true, null };
        public Set<String> names = new Set<String>{ 'a' };
        public Blob data = Blob.valueOf('abc');
    }
    """
    assert apex.value("JSON.serialize(new Body())", source) == (
        '{"version":1,"none":null,"flags":[true,null],"names":["a"],"data":"YWJj"}'
    )
    assert '"none"' not in str(apex.value("JSON.serialize(new Body(), true)", source))


def test_untyped_json_becomes_maps_lists_and_primitives(apex: Apex) -> None:
    body = """
    Map<String, Object> m = (Map<String, Object>) JSON.deserializeUntyped(
        '{"i": 1, "l": 1795430400123, "d": 1.50, "s": "é", "b": true, "n": null, "a": [1, {}]}'
    );
    System.debug((Integer) m.get('i') + (Long) m.get('l'));
    System.debug((Decimal) m.get('d') + (String) m.get('s') + (Boolean) m.get('b') + m.get('n'));
    System.debug(((List<Object>) m.get('a')).size() + ' ' + m.keySet());
    System.debug(((List<Object>) m.get('a'))[1] instanceof Map<String, Object>);
    """
    assert apex.run(body) == [
        "1795430400124",
        "1.50étruenull",
        "2 {i, l, d, s, b, n, a}",
        "true",
    ]


@pytest.mark.parametrize("text", ["", "{", "<html>", "{'a': 1}", "NaN", '{"a":1} x', "[1,]"])
def test_what_is_no_json_throws(apex: Apex, text: str) -> None:
    escaped = text.replace("'", "\\'")
    with pytest.raises(ApexThrown, match="JSONException"):
        apex.value(f"JSON.deserializeUntyped('{escaped}')")


def test_typed_json_becomes_instances_and_records(apex: Apex) -> None:
    source = """
    public class Typed {
        public Integer a; public Decimal b; public List<Typed> inner;
        public Map<String, Date> days; public Kind k; public Lead row;
        public enum Kind { ONE, TWO }
    }
    """
    text = json.dumps(
        {
            "b": 1,
            "inner": [{"a": 2}],
            "days": {"x": "2026-05-01"},
            "k": "TWO",
            "row": {
                "attributes": {"type": "Lead"},
                "LastName": "x",
                "Seen__c": "2026-05-01T12:00:00Z",
            },
            "other": 1,
        }
    )
    body = f"""
    Typed t = (Typed) JSON.deserialize('{text}', Typed.class);
    System.debug(t.a + ' ' + t.b + t.inner[0].a + t.days.get('x').day() + t.k + t.row.LastName);
    System.debug(t.row.Seen__c.getTime());
    try {{ JSON.deserializeStrict('{text}', Typed.class); }}
    catch (JSONException e) {{ System.debug('strict'); }}
    """
    assert apex.run(body, source) == ["null 121TWOx", "1777636800000", "strict"]


def test_what_is_serialized_reads_back(apex: Apex) -> None:
    body = """
    Lead before = new Lead(LastName = 'é😀', Score__c = 12.340, Hot__c = false);
    Lead after = (Lead) JSON.deserialize(JSON.serialize(before), Lead.class);
    System.debug(before == after);
    """
    assert apex.run(body) == ["true"]


def test_json_into_fields_that_begin_with_values_is_not_modelled(apex: Apex) -> None:
    source = "public class Begun { public Integer a = 9; }"
    with pytest.raises(NotModelled, match="Begun"):
        apex.value("JSON.deserialize('{}', Begun.class)", source)
