"""Copies and sizes of whole structures of values, whatever refers to what."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.objects import ApexObject, SObject

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.values import Value

_POINTER_BYTES = 4
_OBJECT_BYTES = 16
_SCALAR_BYTES = 8
_IMMEDIATE = frozenset({int, bool, float, Decimal, dt.date, type(None)})


def deep_copy(value: Value) -> Value:
    """Return a copy as a job's state gets one.

    What is shared inside stays shared, loops stay loops, transient fields become null, records may
    be written again. [apex_classes_keywords_transient]
    """
    return _copy(value, {})


def _copy(value: Value, done: dict[int, Value]) -> Value:
    if not isinstance(value, (ApexList, ApexSet, ApexMap, ApexObject, SObject)):
        return value
    if isinstance(value, ApexObject) and value.cls.by_value:
        return value
    if id(value) not in done:
        _copy_structure(value, done)
    return done[id(value)]


def _copy_structure(
    value: ApexList | ApexSet | ApexMap | ApexObject | SObject, done: dict[int, Value]
) -> None:
    """Note the copy before its parts are copied, which may lead back to it."""
    match value:
        case ApexList():
            listed = done[id(value)] = ApexList(value.element)
            listed.extend(_copy(each, done) for each in value)
        case ApexSet():
            unique = done[id(value)] = ApexSet(value.element)
            for each in value:
                unique.add(_copy(each, done))
        case ApexMap():
            mapped = done[id(value)] = ApexMap(value.key, value.value)
            for key, each in value.items():
                mapped.put(_copy(key, done), _copy(each, done))
        case SObject():
            record = done[id(value)] = SObject(value.type_name, queried=value.queried)
            record.fields.update((name, _copy(each, done)) for name, each in value.fields.items())
        case ApexObject():
            made = done[id(value)] = ApexObject(value.cls)
            made.fields.update(
                (name, None if name in value.cls.transient else _copy(each, done))
                for name, each in value.fields.items()
            )


def heap_bytes(*values: Value) -> int:
    """Return about how much heap the values hold together; what is shared counts once.

    An approximation: a character is what UTF-8 makes of it, a reference 4 bytes, an object 16.
    """
    total = 0
    seen: set[int] = set()
    waiting: list[Value] = list(values)
    while waiting:
        value = waiting.pop()
        kind = value.__class__
        if kind in _IMMEDIATE:
            total += _POINTER_BYTES + _SCALAR_BYTES
            continue
        key = id(value)
        if key in seen:
            total += _POINTER_BYTES
            continue
        seen.add(key)
        total += _POINTER_BYTES + _OBJECT_BYTES
        if isinstance(value, str):
            total += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, SObject):
            waiting += value.fields.values()
        elif isinstance(value, bytes):
            total += len(value)
        else:
            waiting.extend(_parts(value))
    return total


def _parts(value: Value) -> Iterable[Value]:
    match value:
        case SObject() | ApexObject():
            return value.fields.values()
        case ApexList() | ApexSet():
            return value
        case ApexMap():
            return (part for entry in value.items() for part in entry)
        case _:
            return ()
