"""What is known of an org's fields: given by its own DESCRIBE, or learnt from its records.

A described object has the fields that it describes and no others. Records prove less: a field that
was always empty is never sent, and a text may be of many types; so a learnt field has all the
kinds that its values so far allow.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.objects import SObject, is_salesforce_id
from rules.paths import parent_objects
from rules.temporal import day_of, instant_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.change import Fields, Value


class FieldType(StrEnum):
    """Salesforce's field types, as DESCRIBE names them.

    Source: Salesforce, "Object Reference", "Primitive Data Types" and "Field Types".
    """

    ADDRESS = "address"
    ANY_TYPE = "anyType"
    BASE64 = "base64"
    BOOLEAN = "boolean"
    COMBOBOX = "combobox"
    COMPLEX_VALUE = "complexvalue"
    CURRENCY = "currency"
    DATA_CATEGORY_GROUP_REFERENCE = "DataCategoryGroupReference"
    DATE = "date"
    DATETIME = "datetime"
    DOUBLE = "double"
    EMAIL = "email"
    ENCRYPTED_STRING = "encryptedstring"
    ID = "id"
    INT = "int"
    JSON = "json"
    LOCATION = "location"
    LONG = "long"
    MULTIPICKLIST = "multipicklist"
    PERCENT = "percent"
    PHONE = "phone"
    PICKLIST = "picklist"
    REFERENCE = "reference"
    STRING = "string"
    TEXTAREA = "textarea"
    TIME = "time"
    URL = "url"


class Kind(StrEnum):
    """What conditions can ask of a field; fields of several types are of one kind."""

    TEXT = "text"
    CHOICE = "a picklist"
    CHOICES = "a multi-select picklist"
    ID = "an id"
    NUMBER = "a number"
    BOOLEAN = "a checkbox"
    DATE = "a date"
    DATETIME = "a date and time"
    TIME = "a time of day"
    COMPOUND = "a compound value"
    OPAQUE = "a file or other opaque value"


ANY_KIND: Final = frozenset(Kind)
_STRING_KINDS: Final = frozenset({Kind.TEXT, Kind.CHOICE, Kind.CHOICES, Kind.OPAQUE})
_KINDS: Final[Mapping[FieldType, Kind | None]] = {
    FieldType.ADDRESS: Kind.COMPOUND,
    FieldType.ANY_TYPE: None,
    FieldType.BASE64: Kind.OPAQUE,
    FieldType.BOOLEAN: Kind.BOOLEAN,
    FieldType.COMBOBOX: Kind.TEXT,
    FieldType.COMPLEX_VALUE: Kind.COMPOUND,
    FieldType.CURRENCY: Kind.NUMBER,
    FieldType.DATA_CATEGORY_GROUP_REFERENCE: Kind.OPAQUE,
    FieldType.DATE: Kind.DATE,
    FieldType.DATETIME: Kind.DATETIME,
    FieldType.DOUBLE: Kind.NUMBER,
    FieldType.EMAIL: Kind.TEXT,
    FieldType.ENCRYPTED_STRING: Kind.TEXT,
    FieldType.ID: Kind.ID,
    FieldType.INT: Kind.NUMBER,
    FieldType.JSON: None,
    FieldType.LOCATION: Kind.COMPOUND,
    FieldType.LONG: Kind.NUMBER,
    FieldType.MULTIPICKLIST: Kind.CHOICES,
    FieldType.PERCENT: Kind.NUMBER,
    FieldType.PHONE: Kind.TEXT,
    FieldType.PICKLIST: Kind.CHOICE,
    FieldType.REFERENCE: Kind.ID,
    FieldType.STRING: Kind.TEXT,
    FieldType.TEXTAREA: Kind.TEXT,
    FieldType.TIME: Kind.TIME,
    FieldType.URL: Kind.TEXT,
}
_TIME: Final = re.compile(r"\d\d:\d\d:\d\d(?:\.\d{1,6})?Z?", re.ASCII)


def kinds_of_type(field_type: FieldType) -> frozenset[Kind]:
    """Return the kind of a type; every kind for the types that may hold anything."""
    kind = _KINDS[field_type]
    return ANY_KIND if kind is None else frozenset({kind})


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of an object.

    `values` are the active ones of a picklist; only these can be stored if it is `restricted`.
    `refers_to` are names of objects, those that Penstock does not carry included. `calculated`:
    a formula or a roll-up summary. `type` is None for a field that was learnt.
    """

    name: str
    type: FieldType | None = None
    kinds: frozenset[Kind] = ANY_KIND
    values: tuple[str, ...] = ()
    restricted: bool = False
    refers_to: tuple[str, ...] = ()
    relationship: str | None = None
    calculated: bool = False
    nillable: bool = True


class ObjectFields:
    """The fields of one object; names are found without regard to case."""

    def __init__(self, fields: Iterable[Field], *, described: bool) -> None:
        self.described = described
        self._by_name = {field.name.casefold(): field for field in fields}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    @property
    def fields(self) -> tuple[Field, ...]:
        """Return every field that is known."""
        return tuple(self._by_name.values())

    def field(self, name: str) -> Field | None:
        """Return a field by its API name."""
        return self._by_name.get(name.casefold())


_NOTHING: Final = ObjectFields((), described=False)


class Catalog:
    """What is known of the fields of an org's objects."""

    def __init__(self, objects: Mapping[SObject, ObjectFields]) -> None:
        self._objects = dict(objects)

    def of(self, sobject: SObject) -> ObjectFields:
        """Return what is known of an object; without fields when nothing is."""
        return self._objects.get(sobject, _NOTHING)

    def field(self, sobject: SObject, name: str) -> Field | None:
        """Return a field by its API name, or None when it is not known."""
        return self.of(sobject).field(name)

    def knows(self, sobject: SObject, name: str) -> bool | None:
        """Tell whether an object has a field; None where its fields were not described."""
        fields = self.of(sobject)
        if fields.field(name) is not None:
            return True
        return False if fields.described else None

    def parents(self, sobject: SObject, reference: str) -> frozenset[SObject]:
        """Return the synced objects whose records a reference field of `sobject` may name."""
        field = self.field(sobject, reference)
        if field is None or not field.refers_to:
            return parent_objects(sobject, reference)
        return frozenset(parent for parent in SObject if parent.value in field.refers_to)


def learnt_fields(records: Iterable[Fields]) -> ObjectFields:
    """Return what records prove of their object's fields."""
    kinds: dict[str, frozenset[Kind]] = {}
    for record in records:
        for name, value in record.items():
            found = kinds_of_value(value)
            if name != "attributes" and found != ANY_KIND:
                kinds[name] = kinds.get(name, ANY_KIND) & found
    # Values that no type could all hold: the field's type was changed meanwhile.
    return ObjectFields(
        (Field(name, kinds=found or ANY_KIND) for name, found in kinds.items()), described=False
    )


def kinds_of_value(value: Value) -> frozenset[Kind]:
    """Return the kinds of field that a record's value may come from; null tells nothing."""
    if value is None or value == "":
        return ANY_KIND
    if isinstance(value, bool):
        return frozenset({Kind.BOOLEAN})
    if isinstance(value, str):
        return _STRING_KINDS | _kinds_of_form(value)
    if isinstance(value, list | dict):
        return frozenset({Kind.COMPOUND})
    return frozenset({Kind.NUMBER})


def _kinds_of_form(text: str) -> frozenset[Kind]:
    if day_of(text) is not None:
        return frozenset({Kind.DATE})
    if instant_of(text) is not None:
        return frozenset({Kind.DATETIME})
    if _TIME.fullmatch(text):
        return frozenset({Kind.TIME})
    return frozenset({Kind.ID}) if is_salesforce_id(text) else frozenset()
