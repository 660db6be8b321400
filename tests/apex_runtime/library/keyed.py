"""`Set` and `Map`. [apex_methods_system_set, apex_methods_system_map]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.library.lists import iterator
from tests.apex_runtime.library.registry import define
from tests.apex_runtime.types import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tests.apex_runtime.values import Value


def _add_all(this: ApexSet, values: Iterable[Value]) -> bool:
    before = len(this)
    for each in list(values):
        this.add(each)
    return len(this) != before


def _remove_all(this: ApexSet, values: Iterable[Value]) -> bool:
    before = len(this)
    for each in list(values):
        this.discard(each)
    return len(this) != before


def _retain_all(this: ApexSet, values: Collection[Value]) -> bool:
    kept = ApexSet(this.element, values)
    return _remove_all(this, [each for each in this if each not in kept])


def _contains_all(this: ApexSet, values: Iterable[Value]) -> bool:
    return all(each in this for each in values)


define(
    "Set",
    parameters=("T",),
    methods={
        "add(T) Boolean": ApexSet.add,
        "addAll(List<T>) Boolean": _add_all,
        "addAll(Set<T>) Boolean": _add_all,
        "clear() void": ApexSet.clear,
        "clone() Set<T>": lambda this: ApexSet(this.element, this),
        "contains(T) Boolean": ApexSet.__contains__,
        "containsAll(List<T>) Boolean": _contains_all,
        "containsAll(Set<T>) Boolean": _contains_all,
        "equals(Set<T>) Boolean": ApexSet.__eq__,
        "isEmpty() Boolean": lambda this: len(this) == 0,
        "iterator() Iterator<T>": iterator,
        "remove(T) Boolean": ApexSet.discard,
        "removeAll(List<T>) Boolean": _remove_all,
        "removeAll(Set<T>) Boolean": _remove_all,
        "retainAll(List<T>) Boolean": _retain_all,
        "retainAll(Set<T>) Boolean": _retain_all,
        "size() Integer": ApexSet.__len__,
    },
)


def _put_all(this: ApexMap, other: ApexMap) -> None:
    for key, value in list(other.items()):
        this.put(key, value)


def _put_records(this: ApexMap, records: ApexList) -> None:
    """Put records under their ids."""
    if this.value.kind is not Kind.SOBJECT:
        raise NotModelled(f"putAll of records into a map of {this.value}")
    for place, record in enumerate(records):
        record_id = record.fields.get("Id")  # type: ignore[union-attr]  # a list of records
        if record_id is None:
            throw("ListException", f"Row with null Id at index: {place}")
        this.put(record_id, record)


define(
    "Map",
    parameters=("K", "V"),
    methods={
        "clear() void": ApexMap.clear,
        "clone() Map<K,V>": lambda this: ApexMap(this.key, this.value, this.items()),
        "containsKey(K) Boolean": ApexMap.__contains__,
        "equals(Map<K,V>) Boolean": ApexMap.__eq__,
        "get(K) V": ApexMap.get,
        "isEmpty() Boolean": lambda this: len(this) == 0,
        "keySet() Set<K>": lambda this: ApexSet(this.key, this),
        "put(K,V) V": ApexMap.put,
        "putAll(Map<K,V>) void": _put_all,
        "putAll(List<SObject>) void": _put_records,
        "remove(K) V": ApexMap.remove,
        "size() Integer": ApexMap.__len__,
        "values() List<V>": lambda this: ApexList(this.value, this.values()),
    },
)
