"""What names mean while a program is compiled: classes, the org's sObject types, the library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.library import registry as library
from tests.apex_runtime.parse import Node, dotted, kind
from tests.apex_runtime.scalars import EnumValue
from tests.apex_runtime.types import ARITIES, PRIMITIVES, SOBJECT, VOID, ApexType, Kind, list_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.apex_runtime.language.declarations import ClassInfo, MethodInfo
    from tests.apex_runtime.library.registry import LibraryMethod, LibraryType
    from tests.apex_runtime.platform import Schema


_NAMED = {
    **PRIMITIVES,
    "sobject": SOBJECT,
    "aggregateresult": ApexType("AggregateResult", Kind.SOBJECT),
}


@dataclass(frozen=True, slots=True)
class SObjectInfo:
    """An sObject type's names by their folded form, in API spelling, with their types."""

    schema: Schema
    fields: dict[str, tuple[str, ApexType]]
    relationships: dict[str, tuple[str, ApexType]]


@dataclass(slots=True)
class World:
    """Everything that names are looked up in, and the lines that hold statements."""

    describe: Callable[[str], Schema | None]
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    lines: list[tuple[str, int]] = field(default_factory=list)
    problems: list[CompileError] = field(default_factory=list)
    _line_ids: dict[tuple[str, int], int] = field(default_factory=dict)
    _sobjects: dict[str, SObjectInfo | None] = field(default_factory=dict)

    def line_id(self, file: str, line: int) -> int:
        """Return the index under which executions of a line are counted."""
        place = (file, line)
        if place not in self._line_ids:
            self._line_ids[place] = len(self.lines)
            self.lines.append(place)
        return self._line_ids[place]

    def sobject(self, name: str) -> SObjectInfo | None:
        """Return what is known of an sObject type, by its name in any case."""
        folded = name.casefold()
        if folded not in self._sobjects:
            schema = self.describe(name)
            self._sobjects[folded] = None if schema is None else self._index(schema)
        return self._sobjects[folded]

    def _index(self, schema: Schema) -> SObjectInfo:
        fields = {
            name.casefold(): (name, PRIMITIVES[written.casefold()])
            for name, written in schema.fields.items()
        }
        parents = {
            name.casefold(): (name, self._parent_type(targets))
            for name, targets in schema.relationships.items()
        }
        return SObjectInfo(schema, fields, parents)

    @staticmethod
    def _parent_type(targets: Sequence[str]) -> ApexType:
        """Return the parent's type; of several possible ones only `Name` fields are common."""
        return (
            ApexType(targets[0], Kind.SOBJECT)
            if len(targets) == 1
            else ApexType("Name", Kind.SOBJECT)
        )

    def resolve(self, reference: Node, where: ClassInfo | None) -> ApexType:
        """Return the type that a type reference of the tree names; CompileError for none."""
        match kind(reference):
            case "TypeRefs$ArrayTypeRef":
                return list_of(self.resolve(reference["heldType"], where))
            case "TypeRefs$ClassTypeRef":
                name = dotted(reference["names"])
                args = tuple(self.resolve(each, where) for each in reference["typeArguments"])
            case other:
                raise CompileError(f"type reference {other}")
        bare = name.casefold().removeprefix("system.")
        if bare in ARITIES:
            if len(args) != ARITIES[bare]:
                raise CompileError(f"{name} takes {ARITIES[bare]} type arguments")
            return ApexType(bare.capitalize(), Kind.COLLECTION, args)
        found = self.type_named(name, where)
        if found is None or args:
            raise CompileError(f"unknown type {name}{'<…>' if args else ''}")
        return found

    def type_named(self, name: str, where: ClassInfo | None) -> ApexType | None:
        """Return the type of a dotted name as seen from a class: its own inner classes first."""
        if name.casefold() == "void":
            return VOID
        cls = self._class_named(name, where)
        return self._platform_type(name) if cls is None else cls.type

    def _class_named(self, name: str, where: ClassInfo | None) -> ClassInfo | None:
        at = where
        while at is not None:
            for each in at.lineage():
                inner = self.classes.get(f"{each.name}.{name}".casefold())
                if inner is not None:
                    return inner
            at = at.outer
        return self.classes.get(name.casefold())

    def _platform_type(self, name: str) -> ApexType | None:
        bare = name.casefold().removeprefix("system.").removeprefix("schema.")
        if bare in _NAMED:
            return _NAMED[bare]
        known = library.find_type(bare)
        if known is not None:
            return known.type
        record = None if "." in bare else self.sobject(bare)
        return None if record is None else ApexType(record.schema.name, Kind.SOBJECT)

    def class_of(self, type_: ApexType) -> ClassInfo | None:
        """Return the program's class of a type."""
        return self.classes.get(type_.name.casefold()) if type_.kind is Kind.CLASS else None

    @staticmethod
    def constant(of: ClassInfo, name: str) -> EnumValue:
        """Return a constant of an enumeration of the program, as it spells that."""
        return EnumValue(of.name, name, of.constants.index(name), of_platform=False)

    def enum_constant(self, type_: ApexType, name: str) -> EnumValue | None:
        """Return a constant of any enumeration by its name in any case."""
        folded = name.casefold()
        cls = self.class_of(type_)
        if cls is not None:
            found = next((each for each in cls.constants if each.casefold() == folded), None)
            return None if found is None else self.constant(cls, found)
        known = library.find_type(type_.name)
        declared = known.constants.get(folded) if known is not None else None
        value = declared.constant() if declared is not None and declared.constant else None
        return value if isinstance(value, EnumValue) else None

    def library_of(self, type_: ApexType) -> LibraryType | None:
        """Return where the library keeps a type's members."""
        if type_.kind is Kind.SOBJECT:
            return library.find_type("SObject")
        if type_.kind is Kind.CLASS:
            cls = self.class_of(type_)
            return None if cls is None else library.find_type(cls.lineage()[-1].library_parent)
        return library.find_type(type_.name)

    def methods_of(self, type_: ApexType, name: str) -> list[MethodInfo | LibraryMethod]:
        """Return the instance methods of a name that a value of the type has, nearest first."""
        folded = name.casefold()
        found: list[MethodInfo | LibraryMethod] = []
        cls = self.class_of(type_)
        if cls is not None:
            for each in cls.lineage():
                found += [m for m in each.methods.get(folded, ()) if not m.is_static]
                for interface in each.interfaces:
                    found += self.methods_of(interface, name)
        above = self.library_of(type_)
        while above is not None:
            found += above.methods.get(folded, ())
            above = None if above.name == "Object" else library.find_type(above.parent)
        return found
