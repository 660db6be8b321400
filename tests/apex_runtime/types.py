"""Static types of Apex: what a name in a declaration stands for.

Types are compared by value; `name` is in canonical spelling (`Integer`, `Lead`, `Outer.Inner`), so
two spellings of one type are one `ApexType`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What sort of thing a type is, which decides its members and conversions."""

    PRIMITIVE = auto()
    COLLECTION = auto()
    CLASS = auto()
    LIBRARY = auto()
    SOBJECT = auto()
    VARIABLE = auto()
    NULL = auto()
    VOID = auto()


@dataclass(frozen=True, slots=True)
class ApexType:
    """A type and its arguments, such as `Map<Id, List<Lead>>`."""

    name: str
    kind: Kind
    args: tuple[ApexType, ...] = ()

    def __str__(self) -> str:
        """Return the type as Apex writes it."""
        if not self.args:
            return self.name
        return f"{self.name}<{','.join(map(str, self.args))}>"


def _primitive(name: str) -> ApexType:
    return ApexType(name, Kind.PRIMITIVE)


OBJECT = _primitive("Object")
BOOLEAN = _primitive("Boolean")
INTEGER = _primitive("Integer")
LONG = _primitive("Long")
DOUBLE = _primitive("Double")
DECIMAL = _primitive("Decimal")
STRING = _primitive("String")
ID = _primitive("Id")
DATE = _primitive("Date")
DATETIME = _primitive("Datetime")
TIME = _primitive("Time")
BLOB = _primitive("Blob")
SOBJECT = ApexType("SObject", Kind.SOBJECT)
NULL = ApexType("null", Kind.NULL)
VOID = ApexType("void", Kind.VOID)
LIBRARY_EXCEPTION = ApexType("Exception", Kind.LIBRARY)

PRIMITIVES = {
    each.name.casefold(): each
    for each in (
        OBJECT,
        BOOLEAN,
        INTEGER,
        LONG,
        DOUBLE,
        DECIMAL,
        STRING,
        ID,
        DATE,
        DATETIME,
        TIME,
        BLOB,
    )
}
"""Types that every class sees under their bare names."""

ARITIES = {"list": 1, "set": 1, "map": 2, "iterable": 1, "iterator": 1}
"""How many type arguments each generic type takes."""


def list_of(element: ApexType) -> ApexType:
    """Return `List<element>`."""
    return ApexType("List", Kind.COLLECTION, (element,))


def set_of(element: ApexType) -> ApexType:
    """Return `Set<element>`."""
    return ApexType("Set", Kind.COLLECTION, (element,))


def map_of(key: ApexType, value: ApexType) -> ApexType:
    """Return `Map<key,value>`."""
    return ApexType("Map", Kind.COLLECTION, (key, value))
