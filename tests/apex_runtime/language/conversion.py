"""Conversions between types: implicit ones of an assignment, casts, and `instanceof`.

[langCon_apex_data_type_conversion? rules of conversion; langCon_apex_casting]
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import throw
from tests.apex_runtime.objects import ApexObject, PlatformClass, SObject
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, EnumValue, Id, Long, TypeValue
from tests.apex_runtime.types import (
    BLOB,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    DOUBLE,
    ID,
    INTEGER,
    LONG,
    NULL,
    OBJECT,
    SOBJECT,
    STRING,
    TIME,
    VOID,
    ApexType,
    Kind,
    list_of,
    map_of,
    set_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.world import World
    from tests.apex_runtime.values import Value

Converter = Callable[[Any], Any]

_INT_BITS = 32
_LONG_BITS = 64


def same(value: Value) -> Value:
    """Convert to the very same value."""
    return value


def _unless_null(convert: Converter) -> Converter:
    return lambda value: None if value is None else convert(value)


def to_id(text: str) -> Id:
    """Convert a String; StringException where it is no id."""
    if not Id.valid(text):
        throw("StringException", f"Invalid id: {text}")
    return Id(text)


def wrapped(number: int, bits: int = _INT_BITS) -> int:
    """Return what stays of a whole number in so many bits."""
    half = 1 << (bits - 1)
    return (number + half) % (1 << bits) - half


def to_datetime(date: dt.date) -> ApexDatetime:
    """Convert a Date to its midnight, in GMT as the test users live in."""
    return ApexDatetime.of(dt.datetime.combine(date, dt.time(), dt.UTC))


_IMPLICIT: dict[tuple[ApexType, ApexType], Converter] = {
    (INTEGER, LONG): _unless_null(Long),
    (INTEGER, DOUBLE): _unless_null(float),
    (INTEGER, DECIMAL): _unless_null(Decimal),
    (LONG, DOUBLE): _unless_null(float),
    (LONG, DECIMAL): _unless_null(Decimal),
    (DOUBLE, DECIMAL): _unless_null(lambda value: Decimal(repr(value))),
    (DECIMAL, DOUBLE): _unless_null(float),
    (STRING, ID): _unless_null(to_id),
    (ID, STRING): _unless_null(str.__str__),
    (DATE, DATETIME): _unless_null(to_datetime),
}

_NARROWING: dict[tuple[ApexType, ApexType], Converter] = {
    (LONG, INTEGER): _unless_null(wrapped),
    (DOUBLE, INTEGER): _unless_null(lambda value: wrapped(int(value))),
    (DECIMAL, INTEGER): _unless_null(lambda value: wrapped(int(value))),
    (DOUBLE, LONG): _unless_null(lambda value: Long(wrapped(int(value), _LONG_BITS))),
    (DECIMAL, LONG): _unless_null(lambda value: Long(wrapped(int(value), _LONG_BITS))),
}


def converter(world: World, source: ApexType, target: ApexType) -> Converter | None:
    """Return how an assignment converts, None where it is illegal."""
    if VOID in (source, target):
        return None
    if source in {target, NULL} or target == OBJECT:
        return same
    if (source, target) in _IMPLICIT:
        return _IMPLICIT[source, target]
    if target.kind is Kind.COLLECTION:
        return same if _collection_fits(world, source, target) else None
    if source.kind is Kind.SOBJECT:
        return same if target == SOBJECT else None
    return same if derives(world, source, target) else None


def _collection_fits(world: World, source: ApexType, target: ApexType) -> bool:
    """Say whether a collection may be assigned: lists by their elements, maps of records too."""
    if source.kind is not Kind.COLLECTION:
        return False
    if target.name == "Iterable" and source.name in {"List", "Set"}:
        return converter(world, source.args[0], target.args[0]) is same
    if source.name != target.name:
        return False
    if source.name == "Map":
        return source.args[0] == target.args[0] and _elements_fit(
            world, source.args[1], target.args[1], only_records=True
        )
    return source.name == "List" and _elements_fit(
        world, source.args[0], target.args[0], only_records=False
    )


def _elements_fit(world: World, source: ApexType, target: ApexType, *, only_records: bool) -> bool:
    if source.kind is Kind.SOBJECT and target.kind is Kind.SOBJECT:
        return source == target or SOBJECT in (source, target)
    if source.kind is Kind.COLLECTION and target.kind is Kind.COLLECTION:
        return source == target or _collection_fits(world, source, target)
    return not only_records and converter(world, source, target) is same


def derives(world: World, source: ApexType, target: ApexType) -> bool:
    """Say whether a class or interface is another, or derives from it."""
    cls = world.class_of(source)
    if cls is not None:
        return cls.is_a(target.name)
    known = world.library_of(source)
    return known is not None and source.kind is Kind.LIBRARY and known.cls.is_a(target.name)


def cast(world: World, source: ApexType, target: ApexType) -> Converter | None:
    """Return what a cast does, a check when it runs included; None where it can never succeed."""
    implicit = converter(world, source, target)
    if implicit is not None and implicit is not same:
        return implicit
    if (source, target) in _NARROWING:
        return _NARROWING[source, target]
    related = (
        implicit is same
        or source == OBJECT
        or converter(world, target, source) is same
        or (source.kind in _OPEN and target.kind in _OPEN)
    )
    return _checked(world, target) if related else None


def _checked(world: World, target: ApexType) -> Converter:
    def check(value: Value) -> Value:
        if value is not None and not conforms(world, value, target):
            throw(
                "TypeException",
                f"Invalid conversion from runtime type {type_of(value)} to {target}",
            )
        return to_id(value) if target == ID and isinstance(value, str) else value

    return check


_OPEN = frozenset({Kind.CLASS, Kind.LIBRARY})


def conforms(  # noqa: PLR0911 (one case a kind of value)
    world: World, value: Value, target: ApexType
) -> bool:
    """Say whether a value that is not null is of a type, as `instanceof` does."""
    source = type_of(value)
    if target in {OBJECT, source} or (source == ID and target == STRING):
        return True
    match value:
        case str():
            return target == ID and Id.valid(value)
        case SObject():
            return target == SOBJECT
        case ApexObject():
            return value.cls.is_a(target.name)
        case ApexList() if target.name in {"List", "Iterable"} and _are_records(source, target):
            return _all_conform(world, value, target.args[0])
        case ApexMap() if target.name == "Map" and _are_records(source, target):
            return value.key == target.args[0] and _all_conform(
                world, value.values(), target.args[1]
            )
        case _:
            return target.kind is Kind.COLLECTION and _collection_fits(world, source, target)


def _are_records(source: ApexType, target: ApexType) -> bool:
    """Say whether both collections hold records, of which each tells its own type."""
    return source.args[-1].kind is Kind.SOBJECT and target.args[-1].kind is Kind.SOBJECT


def _all_conform(world: World, values: Iterable[Value], element: ApexType) -> bool:
    return all(each is None or conforms(world, each, element) for each in values)


_TYPES: dict[type, ApexType] = {
    bool: BOOLEAN,
    int: INTEGER,
    Long: LONG,
    float: DOUBLE,
    Decimal: DECIMAL,
    str: STRING,
    Id: ID,
    bytes: BLOB,
    dt.date: DATE,
    ApexDatetime: DATETIME,
    ApexTime: TIME,
    type(None): NULL,
    TypeValue: ApexType("Type", Kind.LIBRARY),
}


def type_of(value: Value) -> ApexType:
    """Return the type that a value has when it runs."""
    match value:
        case ApexList():
            return list_of(value.element)
        case ApexSet():
            return set_of(value.element)
        case ApexMap():
            return map_of(value.key, value.value)
        case SObject():
            return ApexType(value.type_name, Kind.SOBJECT)
        case ApexObject() | EnumValue():
            return _class_type(value)
        case _:
            return _TYPES[value.__class__]


def _class_type(value: ApexObject | EnumValue) -> ApexType:
    if isinstance(value, EnumValue):
        return ApexType(value.type_name, Kind.LIBRARY if value.of_platform else Kind.CLASS)
    is_platform = isinstance(value.cls, PlatformClass)
    return ApexType(value.cls.name, Kind.LIBRARY if is_platform else Kind.CLASS)
