"""The table of what is modelled of the platform's classes.

A library module declares a type with `define`; each member is written as Apex documents it:
`"left(Integer) String"`. `T`, `K`, `V` are the type arguments of the receiver. A parameter of a
primitive type refuses null with a NullPointerException unless marked `String?`. What is not in the
table does not compile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import EXCEPTIONS, NotModelled
from tests.apex_runtime.objects import ApexObject, PlatformClass
from tests.apex_runtime.scalars import EnumValue
from tests.apex_runtime.types import ARITIES, OBJECT, PRIMITIVES, SOBJECT, VOID, ApexType, Kind

if TYPE_CHECKING:
    from tests.apex_runtime.values import Value

Function = Callable[..., Any]
"""Takes the receiver (for an instance's member) and the arguments; returns a `Value`."""


@dataclass(frozen=True, slots=True)
class InSession:
    """A function that takes the session before everything else."""

    function: Function


@dataclass(frozen=True, slots=True)
class LibraryMethod:
    """A method or constructor of the table; `refuses_null` tells of each parameter."""

    owner: str
    name: str
    params: tuple[ApexType, ...]
    refuses_null: tuple[bool, ...]
    returns: ApexType
    function: Function
    in_session: bool


@dataclass(frozen=True, slots=True)
class LibraryField:
    """A field that instances have, or, with `constant`, a static one."""

    name: str
    type: ApexType
    constant: Callable[[], Value] | None = None


@dataclass(slots=True)
class LibraryType:
    """A class, interface or enum of the platform with the members that are modelled."""

    name: str
    parameters: tuple[str, ...] = ()
    parent: str = "object"
    is_interface: bool = False
    cls: PlatformClass = field(default_factory=lambda: PlatformClass("Object"))
    statics: dict[str, list[LibraryMethod]] = field(default_factory=dict)
    methods: dict[str, list[LibraryMethod]] = field(default_factory=dict)
    constructors: list[LibraryMethod] = field(default_factory=list)
    fields: dict[str, LibraryField] = field(default_factory=dict)
    constants: dict[str, LibraryField] = field(default_factory=dict)

    @property
    def type(self) -> ApexType:
        """The type as declarations name it, without arguments."""
        return named(self.name)


LIBRARY: dict[str, LibraryType] = {}
"""By folded name; `System.` and `Schema.` are left out of names, `Database.` and others are not."""

_SIGNATURE = re.compile(r"(?P<name>\w+)\((?P<params>.*)\) (?P<returns>\S+)")
_NAMESPACES = ("system.", "schema.")


def find_type(name: str) -> LibraryType | None:
    """Return a library type by its name in any case, with its namespace or without."""
    folded = name.casefold()
    for namespace in _NAMESPACES:
        folded = folded.removeprefix(namespace)
    return LIBRARY.get(folded)


def named(name: str) -> ApexType:
    """Return the type of a name that a signature uses."""
    if name == "void":
        return VOID
    if name == "SObject":
        return SOBJECT
    if len(name) == 1:
        return ApexType(name, Kind.VARIABLE)
    if name.casefold() in ARITIES:
        return ApexType(name, Kind.COLLECTION)
    return PRIMITIVES.get(name.casefold()) or ApexType(name, Kind.LIBRARY)


def read_type(written: str) -> ApexType:
    """Return a type from its text, such as `Map<K,List<V>>`."""
    name, _, rest = written.strip().partition("<")
    if not rest:
        return named(name)
    args = tuple(read_type(each) for each in _split(rest.removesuffix(">")))
    return ApexType(name, Kind.COLLECTION, args)


def _split(params: str) -> list[str]:
    """Split at the commas that no angle brackets enclose."""
    parts = [""]
    depth = 0
    for letter in params:
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _method(owner: str, signature: str, function: Function | InSession) -> LibraryMethod:
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        raise NotModelled(f"signature {signature!r}")
    params = _split(found["params"])
    types = tuple(read_type(each.removesuffix("?")) for each in params)
    return LibraryMethod(
        owner,
        found["name"],
        types,
        tuple(
            each.kind is Kind.PRIMITIVE and each != OBJECT and not written.endswith("?")
            for each, written in zip(types, params, strict=True)
        ),
        read_type(found["returns"]),
        function.function if isinstance(function, InSession) else function,
        isinstance(function, InSession),
    )


Members = Mapping[str, Function | InSession]


def define(  # noqa: PLR0913 (a row of the table has as many columns)
    name: str,
    *,
    parameters: tuple[str, ...] = (),
    parent: str = "Object",
    is_interface: bool = False,
    by_value: bool = False,
    statics: Members | None = None,
    methods: Members | None = None,
    constructors: Members | None = None,
    fields: Mapping[str, str] | None = None,
    constants: Mapping[str, tuple[str, Callable[[], Value]]] | None = None,
) -> LibraryType:
    """Declare a type; `fields` are by name with their type, constants with type and value."""
    ancestors = {"object"}
    above: LibraryType | None = LIBRARY.get(parent.casefold())
    while above is not None:
        ancestors.add(above.name.casefold())
        above = None if above.parent == above.name.casefold() else LIBRARY.get(above.parent)
    cls = EXCEPTIONS.get(name.casefold()) or PlatformClass(name, frozenset(ancestors), by_value)
    made = LibraryType(name, parameters, parent.casefold(), is_interface, cls)
    for table, members in ((made.statics, statics), (made.methods, methods)):
        for signature, function in (members or {}).items():
            _add(table, _method(name, signature, function))
    made.constructors = [_method(name, *each) for each in (constructors or {}).items()]
    for field_name, written in (fields or {}).items():
        made.fields[field_name.casefold()] = LibraryField(field_name, read_type(written))
    for constant, (written, value) in (constants or {}).items():
        made.constants[constant.casefold()] = LibraryField(constant, read_type(written), value)
    LIBRARY[name.casefold()] = made
    return made


def _add(table: dict[str, list[LibraryMethod]], method: LibraryMethod) -> None:
    table.setdefault(method.name.casefold(), []).append(method)


def _always(value: EnumValue) -> Callable[[], Value]:
    return lambda: value


def define_enum(name: str, *constants: str) -> LibraryType:
    """Declare an enumeration of the platform."""
    values = [EnumValue(name, constant, place) for place, constant in enumerate(constants)]
    return define(
        name,
        parent="Enum",
        statics={f"valueOf(String) {name}": lambda text: enum_constant(name, text)},
        constants={each.name: (name, _always(each)) for each in values},
    )


def enum_constant(name: str, constant: str) -> EnumValue:
    """Return a constant of a platform's enumeration: `enum_constant("Quiddity", "QUEUEABLE")`."""
    found = LIBRARY[name.casefold()].constants.get(constant.casefold())
    value = found and found.constant and found.constant()
    if not isinstance(value, EnumValue):
        raise NotModelled(f"{name}.{constant}")
    return value


def platform_object(name: str, /, **fields: Value) -> ApexObject:
    """Return an instance of a platform's class with what its methods tell, by field."""
    found = find_type(name)
    if found is None:
        raise NotModelled(f"class {name}")
    return ApexObject(found.cls, dict(fields))


def getter(name: str) -> Function:
    """Return a method's function that tells a field of its receiver."""
    return lambda this: this.fields.get(name)


def setter(name: str) -> Function:
    """Return a method's function that sets a field of its receiver."""

    def set_field(this: ApexObject, value: Value) -> None:
        this.fields[name] = value

    return set_field
