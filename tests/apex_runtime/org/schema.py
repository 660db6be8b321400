"""sObject types: fields with their types, lengths and rules, and how a stored value must look."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# A formula or roll-up reads a record's stored fields (API name to value) and gives its own.
Formula = Callable[[Mapping[str, Any]], Any]

_DECLARATION: Final = re.compile(
    r"(?P<name>\w+) (?P<type>\w+)(?:\((?P<arguments>[^)]*)\))?(?: (?P<flags>.*))?"
)


class FieldType(StrEnum):
    """Field types under the names that metadata files use; `Id` and `Integer` are standard only."""

    ID = "Id"
    TEXT = "Text"
    TEXT_AREA = "TextArea"
    LONG_TEXT_AREA = "LongTextArea"
    EMAIL = "Email"
    PHONE = "Phone"
    URL = "Url"
    PICKLIST = "Picklist"
    MULTISELECT_PICKLIST = "MultiselectPicklist"
    ENCRYPTED_TEXT = "EncryptedText"
    AUTO_NUMBER = "AutoNumber"
    CHECKBOX = "Checkbox"
    INTEGER = "Integer"
    NUMBER = "Number"
    CURRENCY = "Currency"
    PERCENT = "Percent"
    DATE = "Date"
    DATE_TIME = "DateTime"
    LOOKUP = "Lookup"
    MASTER_DETAIL = "MasterDetail"


_APEX_TYPES: Final = {
    FieldType.ID: "Id",
    FieldType.LOOKUP: "Id",
    FieldType.MASTER_DETAIL: "Id",
    FieldType.CHECKBOX: "Boolean",
    FieldType.INTEGER: "Integer",
    FieldType.NUMBER: "Decimal",
    FieldType.CURRENCY: "Decimal",
    FieldType.PERCENT: "Decimal",
    FieldType.DATE: "Date",
    FieldType.DATE_TIME: "Datetime",
}
REFERENCES: Final = frozenset({FieldType.LOOKUP, FieldType.MASTER_DETAIL})


class OnDelete(StrEnum):
    """What becomes of a record whose parent is deleted; never does a trigger fire for it."""

    CASCADE = "Cascade"
    SET_NULL = "SetNull"
    RESTRICT = "Restrict"


class Kind(StrEnum):
    """What sort of thing a type describes."""

    RECORD = "record"
    SETUP = "setup"
    CUSTOM_SETTING = "custom setting"
    EVENT = "platform event"


@dataclass(frozen=True)
class Field:
    """One field; `length` counts characters, or digits in all of a number with `scale` of them."""

    name: str
    type: FieldType
    length: int | None = None
    scale: int | None = None
    required: bool = False
    read_only: bool = False
    unique: bool = False
    external_id: bool = False
    encrypted: bool = False
    default: str | None = None
    reference_to: tuple[str, ...] = ()
    on_delete: OnDelete = OnDelete.SET_NULL
    formula: Formula | None = None

    @property
    def apex_type(self) -> str:
        """The type that Apex gives the field's value."""
        return _APEX_TYPES.get(self.type, "String")

    @property
    def relationship(self) -> str | None:
        """The name that leads from a reference to its parent: `Owner`, `Parent__r`."""
        if self.type not in REFERENCES:
            return None
        if self.name.endswith("__c"):
            return f"{self.name[:-3]}__r"
        return self.name.removesuffix("Id")


class ObjectType:
    """An sObject type, as `platform.Schema` and as the record store need it."""

    def __init__(  # noqa: PLR0913  a type is what it is made of
        self,
        name: str,
        prefix: str,
        kind: Kind,
        definitions: Iterable[Field],
        *,
        publish_immediately: bool = False,
        protected: bool = False,
    ) -> None:
        self.name = name
        self.prefix = prefix
        self.kind = kind
        self.publish_immediately = publish_immediately
        self.protected = protected
        self.definitions: dict[str, Field] = {}
        self.fields: dict[str, str] = {}
        self._by_name: dict[str, Field] = {}
        self._by_relationship: dict[str, Field] = {}
        for each in definitions:
            self.add(each)

    def add(self, new: Field) -> None:
        """Add a field, or put another definition in its place."""
        self.definitions[new.name] = new
        self.fields[new.name] = new.apex_type
        self._by_name[new.name.lower()] = new
        if new.relationship is not None:
            self._by_relationship[new.relationship.lower()] = new

    @property
    def encrypted(self) -> frozenset[str]:
        """The API names of encrypted fields."""
        return frozenset(each.name for each in self.definitions.values() if each.encrypted)

    @property
    def relationships(self) -> Mapping[str, Sequence[str]]:
        """Parent relationship names, with the types that each may lead to."""
        return {
            each.relationship: each.reference_to
            for each in self._by_relationship.values()
            if each.relationship is not None
        }

    def field(self, name: str) -> Field | None:
        """Return a field by its name in any case."""
        return self._by_name.get(name.lower())

    def reference(self, relationship: str) -> Field | None:
        """Return the reference field that a relationship name stands for, in any case."""
        return self._by_relationship.get(relationship.lower())

    def writeable(self, name: str) -> bool:
        """Say whether Apex may assign a field; the Id may be set, for update and upsert."""
        found = self.field(name)
        return found is not None and (found.type is FieldType.ID or not found.read_only)

    def copy(self) -> ObjectType:
        """Return a type whose fields may be changed apart from this one's."""
        return ObjectType(
            self.name,
            self.prefix,
            self.kind,
            self.definitions.values(),
            publish_immediately=self.publish_immediately,
            protected=self.protected,
        )


def declare(line: str) -> Field:
    """Read a field written `Name Type(length or targets) flag flag=value …`.

    Flags: `required`, `read_only`, `unique`, `external_id`, `default=…`, `cascade`, `restrict`.
    """
    found = _DECLARATION.fullmatch(line.strip())
    if found is None:
        raise ValueError(f"not a field declaration: {line!r}")
    kind = FieldType(found["type"])
    arguments = [each.strip() for each in (found["arguments"] or "").split(",") if each.strip()]
    is_reference = kind in REFERENCES
    numbers = [] if is_reference else [int(each) for each in arguments]
    new = Field(
        name=found["name"],
        type=kind,
        length=numbers[0] if numbers else None,
        scale=numbers[1] if len(numbers) > 1 else None,
        reference_to=tuple(arguments) if is_reference else (),
        encrypted=kind is FieldType.ENCRYPTED_TEXT,
    )
    for flag in (found["flags"] or "").split(";"):
        new = _flagged(new, flag.strip()) if flag.strip() else new
    return new


def _flagged(new: Field, flag: str) -> Field:
    """Return a field with one more flag; a name that is no flag is refused."""
    match flag.partition("="):
        case ("default", "=", value):
            return replace(new, default=value)
        case (("required" | "read_only" | "unique" | "external_id" | "encrypted") as name, "", ""):
            changed: dict[str, Any] = {name: True}
            return replace(new, **changed)
        case ("cascade", "", ""):
            return replace(new, on_delete=OnDelete.CASCADE)
        case ("restrict", "", ""):
            return replace(new, on_delete=OnDelete.RESTRICT)
        case _:
            raise ValueError(f"{new.name}: no such flag as {flag!r}")


def declare_all(text: str) -> Iterable[Field]:
    """Read a table of declarations, one a line."""
    return [declare(line) for line in text.strip().splitlines()]
