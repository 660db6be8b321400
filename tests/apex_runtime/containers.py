"""Lists, sets and maps: Apex's order, equality of keys, and element types.

String keys are case-sensitive, sets and maps keep the order of insertion, null may be an element or
a key. A key that Python would confuse with another (`true` and 1) or cannot hash travels as `_Key`.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, EnumValue, Id, Long, TypeValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.apex_runtime.types import ApexType
    from tests.apex_runtime.values import Value


_PLAIN = frozenset(
    {
        str,
        Id,
        int,
        Long,
        bytes,
        dt.date,
        type(None),
        ApexDatetime,
        ApexTime,
        EnumValue,
        TypeValue,
        ApexObject,
    }
)
"""Classes whose values are their own keys."""


class ApexList(list["Value"]):
    """A `List<element>`: Python's list, with the type of its elements.

    `read_only` lists are `Trigger.new` and `Trigger.old`.
    """

    __slots__ = ("element", "read_only")

    def __init__(self, element: ApexType, values: Iterable[Value] = ()) -> None:
        super().__init__(values)
        self.element = element
        self.read_only = False

    __hash__ = None


class _Key:
    """Stands for a value that needs Apex's idea of equality and of its hash."""

    __slots__ = ("identity", "value")

    def __init__(self, value: Value, identity: object) -> None:
        self.value = value
        self.identity = identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)


def _key(value: Value) -> object:
    if value.__class__ in _PLAIN:
        return value
    return _Key(value, _identity(value))


def _identity(value: Value) -> object:
    """Return something hashable that is equal for equal values, as they are now."""
    if isinstance(value, SObject):
        return (value.type_name, tuple((k, _identity(v)) for k, v in sorted(value.fields.items())))
    if isinstance(value, ApexList):
        return ("List", *map(_identity, value))
    if isinstance(value, ApexSet):
        return ("Set", frozenset(map(_identity, value)))
    if isinstance(value, ApexMap):
        return ("Map", frozenset((_identity(k), _identity(v)) for k, v in value.items()))
    if isinstance(value, (bool, float, Decimal)):
        return (value.__class__, value)
    return value


def _value(key: object) -> Value:
    return key.value if isinstance(key, _Key) else key  # type: ignore[return-value]  # `_key` took it for its own


class ApexSet:
    """A `Set<element>`."""

    __slots__ = ("_keys", "element", "read_only")

    def __init__(self, element: ApexType, values: Iterable[Value] = ()) -> None:
        self.element = element
        self.read_only = False
        self._keys: dict[object, None] = dict.fromkeys(map(_key, values))

    def __contains__(self, value: Value) -> bool:
        return _key(value) in self._keys

    def __iter__(self) -> Iterator[Value]:
        return map(_value, self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApexSet) and self._keys.keys() == other._keys.keys()

    __hash__ = None  # type: ignore[assignment]  # a key made of a set goes through `_Key`

    def add(self, value: Value) -> bool:
        """Add a value; return whether it was not there before."""
        key = _key(value)
        if key in self._keys:
            return False
        self._keys[key] = None
        return True

    def discard(self, value: Value) -> bool:
        """Remove a value; return whether it was there."""
        return self._keys.pop(_key(value), _key) is None

    def clear(self) -> None:
        """Remove all values."""
        self._keys.clear()


class ApexMap:
    """A `Map<key,value>`."""

    __slots__ = ("_entries", "key", "value")

    def __init__(
        self, key: ApexType, value: ApexType, entries: Iterable[tuple[Value, Value]] = ()
    ) -> None:
        self.key = key
        self.value = value
        self._entries: dict[object, Value] = {_key(k): v for k, v in entries}

    def __contains__(self, key: Value) -> bool:
        return _key(key) in self._entries

    def __iter__(self) -> Iterator[Value]:
        return map(_value, self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApexMap) and self._entries == other._entries

    __hash__ = None  # type: ignore[assignment]  # a key made of a map goes through `_Key`

    def get(self, key: Value) -> Value:
        """Return the value of a key, null where there is none."""
        return self._entries.get(_key(key))

    def put(self, key: Value, value: Value) -> Value:
        """Set the value of a key; return the one it had."""
        key = _key(key)  # type: ignore[assignment]  # what the dictionary holds
        before = self._entries.get(key)
        self._entries[key] = value
        return before

    def remove(self, key: Value) -> Value:
        """Remove a key; return the value it had."""
        return self._entries.pop(_key(key), None)

    def clear(self) -> None:
        """Remove all keys."""
        self._entries.clear()

    def items(self) -> Iterator[tuple[Value, Value]]:
        """Return keys with values, in order."""
        return ((_value(key), value) for key, value in self._entries.items())

    def values(self) -> Iterable[Value]:
        """Return the values, in order of their keys."""
        return self._entries.values()
