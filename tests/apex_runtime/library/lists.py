"""`List` and iteration. [apex_methods_system_list]"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.comparison import equal
from tests.apex_runtime.language.targets import element
from tests.apex_runtime.library.records import cloned
from tests.apex_runtime.library.registry import InSession, define, platform_object
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import EnumValue
from tests.apex_runtime.types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value


def _writable(this: ApexList) -> None:
    if this.read_only:
        throw("FinalException", "Collection is read-only")


def _add(this: ApexList, value: Value) -> None:
    _writable(this)
    this.append(value)


def _insert(this: ApexList, place: int, value: Value) -> None:
    _writable(this)
    if not 0 <= place <= len(this):
        throw("ListException", f"List index out of bounds: {place}")
    this.insert(place, value)


def _add_all(this: ApexList, values: Iterable[Value]) -> None:
    _writable(this)
    this.extend(list(values))


def _remove(this: ApexList, place: int) -> Value:
    _writable(this)
    element(this, place)
    return this.pop(place)


def _set(this: ApexList, place: int, value: Value) -> None:
    _writable(this)
    element(this, place)
    this[place] = value


def _clear(this: ApexList) -> None:
    _writable(this)
    this.clear()


def _index_of(this: ApexList, value: Value) -> int:
    return next((place for place, each in enumerate(this) if _same(each, value)), -1)


def _same(one: Value, other: Value) -> bool:
    """Compare as `contains` and `indexOf` do: texts by their case too."""
    return one == other if isinstance(one, str) and isinstance(other, str) else equal(one, other)


def _sort(session: Session, this: ApexList) -> None:
    """Sort in place: null first, texts by their characters, objects by `compareTo`."""
    _writable(this)

    def compare(one: Any, other: Any) -> int:  # noqa: ANN401 (of ordered types)
        if one is None or other is None:
            return (one is not None) - (other is not None)
        if isinstance(one, ApexObject):
            if not one.cls.is_a("comparable"):
                throw("ListException", "One or more of the items in this list is not Comparable.")
            return _order(session.call(one, "compareTo", (other,)))
        if isinstance(one, EnumValue):
            return _order(one.ordinal - other.ordinal)
        if not isinstance(one, (str, int, float)) and not hasattr(one, "__lt__"):
            raise NotModelled(f"sorting {type(one).__name__}")
        return bool(one > other) - bool(one < other)

    this.sort(key=functools.cmp_to_key(compare))


def _order(compared: Value) -> int:
    assert isinstance(compared, int)
    return compared


def iterator(values: Iterable[Value]) -> ApexObject:
    """Return what `iterator()` gives."""
    # The element type does not matter to an iterator's own list.
    return platform_object("Iterator", items=list(values), at=0)  # type: ignore[arg-type]  # private to the iterator


def _next(this: ApexObject) -> Value:
    items: Any = this.fields["items"]
    at: Any = this.fields["at"]
    if at >= len(items):
        throw("NoSuchElementException", "iterator has no more elements")
    this.fields["at"] = at + 1
    value: Value = items[at]
    return value


def _has_next(this: ApexObject) -> bool:
    items: Any = this.fields["items"]
    return bool(this.fields["at"] < len(items))  # type: ignore[operator]  # an Integer


def _deep_clone(this: ApexList, *keeps: bool) -> ApexList:
    """Return copies of a list's records; `keeps`: ids, times, auto numbers."""
    if this.element.kind is not Kind.SOBJECT:
        raise NotModelled(f"deepClone of a list of {this.element}")
    keeps_id, *others = keeps or (False,)
    records = [each for each in this if isinstance(each, SObject)]
    return ApexList(this.element, [cloned(each, keeps_id, False, *others) for each in records])


define("Iterable", parameters=("T",))
define(
    "Iterator",
    parameters=("T",),
    methods={"next() T": _next, "hasNext() Boolean": _has_next},
)
define(
    "List",
    parameters=("T",),
    methods={
        "add(T) void": _add,
        "add(Integer,T) void": _insert,
        "addAll(List<T>) void": _add_all,
        "addAll(Set<T>) void": _add_all,
        "clear() void": _clear,
        "clone() List<T>": lambda this: ApexList(this.element, this),
        "contains(T) Boolean": lambda this, value: _index_of(this, value) >= 0,
        **{
            f"deepClone({flags}) List<T>": _deep_clone
            for flags in ("", "Boolean", "Boolean,Boolean", "Boolean,Boolean,Boolean")
        },
        "equals(List<T>) Boolean": equal,
        "get(Integer) T": element,
        "indexOf(T) Integer": _index_of,
        "isEmpty() Boolean": lambda this: not this,
        "iterator() Iterator<T>": iterator,
        "remove(Integer) T": _remove,
        "set(Integer,T) void": _set,
        "size() Integer": len,
        "sort() void": InSession(_sort),
    },
)
