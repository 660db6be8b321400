"""Lists, sets and maps.

[apex_methods_system_list, apex_methods_system_set, apex_methods_system_map]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import ApexThrown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.apex_runtime.conftest import Apex


def test_lists(apex: Apex) -> None:
    body = """
    List<Integer> l = new List<Integer>{ 3, 1, null, 2 };
    l.add(0, 9); l.addAll(new Set<Integer>{ 7 }); l.sort();
    System.debug(l); System.debug(l.remove(0) + ' ' + l.size() + l.contains(7) + l.indexOf(9));
    List<Integer> copied = l.clone(); copied.clear();
    System.debug(copied.isEmpty() + ' ' + l[0] + l.get(1));
    l.set(0, 100); l[1] = 200;
    Integer[] sized = new Integer[2];
    System.debug(l + ' ' + sized + new List<String>(new Set<String>{ 'b', 'a' }));
    """
    assert apex.run(body) == [
        "(null, 1, 2, 3, 7, 9)",
        "null 5true4",
        "true 12",
        "(100, 200, 3, 7, 9) (null, null)(b, a)",
    ]


def test_objects_sort_by_their_own_order(apex: Apex) -> None:
    # Guide page apex_comparable
    source = """
    public class Row implements Comparable {
        public Integer n;
        public Row(Integer n) { this.n = n; }
        public Integer compareTo(Object other) { return ((Row) other).n - n; }
    }
    """
    body = """
    List<Row> rows = new List<Row>{ new Row(1), new Row(3), new Row(2) };
    rows.sort();
    System.debug('' + rows[0].n + rows[1].n + rows[2].n);
    """
    assert apex.run(body, source) == ["321"]


def test_keys_of_sets_and_maps_mind_their_case(apex: Apex) -> None:
    body = """
    Set<String> s = new Set<String>{ 'a', 'A' };
    Map<String, Integer> m = new Map<String, Integer>{ 'a' => 1, 'A' => 2, null => 3 };
    System.debug(s.size() + ' ' + m.get('a') + m.get('A') + m.get(null) + m.get('b'));
    System.debug(s.add('b') + ' ' + s.add('b') + s.remove('a') + s.contains('a'));
    System.debug(m.put('a', 5) + ' ' + m.remove('a') + m.containsKey('a'));
    System.debug(m.keySet() + '' + m.values());
    """
    assert apex.run(body) == [
        "2 123null",
        "true falsetruefalse",
        "1 5false",
        "{A, null}(2, 3)",
    ]


def test_set_algebra(apex: Apex) -> None:
    body = """
    Set<Integer> s = new Set<Integer>{ 1, 2, 3 };
    System.debug(s.retainAll(new List<Integer>{ 2, 3 }) + ' ' + s);
    System.debug(s.removeAll(new Set<Integer>{ 3 }) + ' ' + s.addAll(new List<Integer>{ 2 }) + s);
    System.debug(s.containsAll(new List<Integer>{ 2 }) + ' ' + (s == new Set<Integer>{ 2 }));
    """
    assert apex.run(body) == ["true {2, 3}", "true false{2}", "true true"]


def test_records_are_put_into_a_map_by_their_ids(apex: Apex) -> None:
    # Guide page langCon_apex_collections_maps_keys_userdefined
    body = """
    List<Lead> rows = new List<Lead>{ new Lead(Id = '00Q5g00000HotLd', LastName = 'x') };
    Map<Id, Lead> byId = new Map<Id, Lead>(rows);
    Map<Id, SObject> wide = byId;
    System.debug(byId.get('00Q5g00000HotLdEAJ').LastName + wide.size());
    Map<Id, Lead> back = (Map<Id, Lead>) wide;
    Iterator<Id> ids = back.keySet().iterator();
    System.debug(ids.next() + ' ' + ids.hasNext());
    """
    assert apex.run(body) == ["x1", "00Q5g00000HotLdEAJ false"]


def test_a_changed_record_is_no_longer_found_as_a_key(apex: Apex) -> None:
    # Guide page langCon_apex_collections_maps_keys_userdefined: a record's hash is of its fields
    body = """
    Lead l = new Lead(LastName = 'a');
    Set<Lead> s = new Set<Lead>{ l };
    Boolean before = s.contains(new Lead(LastName = 'a'));
    l.LastName = 'b';
    System.debug(before + ' ' + s.contains(l));
    """
    assert apex.run(body) == ["true false"]


def test_elements_are_converted_to_the_declared_type(apex: Apex) -> None:
    body = """
    List<Decimal> d = new List<Decimal>{ 1 }; d.add(2);
    Map<Id, Long> m = new Map<Id, Long>{ '00Q5g00000HotLd' => 1 };
    Object first = d[1]; Object value = m.values()[0];
    System.debug((first instanceof Decimal) + ' ' + (value instanceof Long));
    """
    assert apex.run(body) == ["true true"]


@pytest.mark.parametrize(
    ("body", "type_name"),
    [
        ("new List<Integer>{ 1 }.get(1);", "ListException"),
        ("new List<Integer>{ 1 }.remove(-1);", "ListException"),
        ("new Map<Id, Lead>(new List<Lead>{ new Lead() });", "ListException"),
        (
            "List<SObject> s = new List<SObject>{ new Lead() }; List<User> u = (List<User>) s;",
            "TypeException",
        ),
    ],
)
def test_what_a_collection_refuses(apex: Apex, body: str, type_name: str) -> None:
    with pytest.raises(ApexThrown) as caught:
        apex.run(body)
    assert caught.value.type_name == type_name


def test_elements_of_another_type_are_refused_when_loading(refusals: Callable[..., str]) -> None:
    assert "List<Integer>.add(String) does not fit" in refusals("new List<Integer>().add('a');")
    assert "does not fit" in refusals("new Map<String, Integer>().put('a', 1.5);")
    assert "Illegal assignment" in refusals("List<Integer> l = new List<Integer>{ 'a' };")
