"""Instances: of classes (the program's and the platform's) and of sObject types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.apex_runtime.values import Value


class ClassLike(Protocol):
    """What an instance knows of its class, whoever declared that."""

    @property
    def name(self) -> str:
        """The name as declared, an inner class's as `Outer.Inner`."""

    @property
    def transient(self) -> frozenset[str]:
        """Names of the fields that no copy keeps."""

    @property
    def by_value(self) -> bool:
        """Whether instances of equal fields are equal (tokens), rather than each its own."""

    def is_a(self, name: str) -> bool:
        """Say whether this is the named class or interface, or derives from it; any case."""


@dataclass(frozen=True, slots=True)
class PlatformClass:
    """A class of the platform; `ancestors` are the folded names of all it derives from."""

    name: str
    ancestors: frozenset[str] = frozenset()
    by_value: bool = False
    transient: frozenset[str] = frozenset()

    def is_a(self, name: str) -> bool:
        """Say whether this is the named class or derives from it; any case."""
        folded = name.casefold().removeprefix("system.")
        return folded == self.name.casefold().removeprefix("system.") or folded in self.ancestors


@dataclass(eq=False, slots=True)
class ApexObject:
    """An instance: its class, and its fields under their declared names."""

    cls: ClassLike
    fields: dict[str, Value] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, ApexObject)
            and self.cls.by_value
            and self.cls == other.cls
            and self.fields == other.fields
        )

    def __hash__(self) -> int:
        if self.cls.by_value:
            return hash((self.cls.name, *map(str, self.fields.values())))
        return id(self)


@dataclass(eq=False, slots=True)
class SObject:
    """A record in memory: the fields that are populated, explicit nulls included.

    `type_name` and the keys of `fields` are in API spelling. A parent is under its relationship's
    name. A `read_only` record (those of an after trigger) refuses assignment to a field. `queried`
    are the fields and parents that a query asked for, None where the record is from none.
    """

    type_name: str
    fields: dict[str, Value] = field(default_factory=dict)
    read_only: bool = False
    queried: frozenset[str] | None = None

    def copy(self) -> SObject:
        """Return a record with the same fields that may be written."""
        return SObject(self.type_name, dict(self.fields), queried=self.queried)

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, SObject)
            and self.type_name == other.type_name
            and self.fields == other.fields
        )

    __hash__ = object.__hash__
