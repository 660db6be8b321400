"""Reads the fields of an object out of what Salesforce answers when it is asked to describe it."""

from __future__ import annotations

from typing import Final

import msgspec

from pipeline.objects import SObject
from rules.checks.catalog import Field, FieldType, kinds_of_type
from rules.mistakes import near_name

_TYPES: Final = {field_type.value: field_type for field_type in FieldType}


class DescribeError(ValueError):
    """A text is not the description of an object that Penstock carries."""


class Described(msgspec.Struct, frozen=True):
    """An object and its fields."""

    object: SObject
    fields: tuple[Field, ...]


class _PicklistValue(msgspec.Struct):
    value: str
    active: bool = True


class _Field(msgspec.Struct, rename="camel"):
    name: str
    type: str
    picklist_values: list[_PicklistValue] = []
    restricted_picklist: bool = False
    reference_to: list[str] = []
    relationship_name: str | None = None
    calculated: bool = False
    nillable: bool = True


class _Describe(msgspec.Struct):
    name: str
    fields: list[_Field]


class _Answer(msgspec.Struct):
    """What `sf sobject describe --json` prints."""

    result: _Describe


def read_describes(text: bytes) -> list[Described]:
    """Return the objects that a text describes: one, or several in a list.

    It is the JSON of the REST API's `sobjects/{object}/describe`, or what the `sf` command makes
    of it. A type that is not known yet may hold anything.

    Raises:
        DescribeError: it is something else, or an object that Penstock does not carry.
    """
    try:
        document = msgspec.json.decode(text)
        described = [_describe(item) for item in _items(document)]
    except msgspec.MsgspecError as error:
        raise DescribeError(f"is no description of an object: {error}") from None
    except RecursionError:
        raise DescribeError("is no description of an object: nested too deep") from None
    return [Described(_sobject(one.name), tuple(map(_field, one.fields))) for one in described]


def _items(document: object) -> list[object]:
    return document if isinstance(document, list) else [document]


def _describe(item: object) -> _Describe:
    if isinstance(item, dict) and "result" in item:
        return msgspec.convert(item, _Answer).result
    return msgspec.convert(item, _Describe)


def _sobject(name: str) -> SObject:
    by_name = {sobject.value: sobject for sobject in SObject}
    if name not in by_name:
        near = near_name(name, by_name) or f"; it carries {', '.join(by_name)}"
        raise DescribeError(f"describes '{name}', which Penstock does not carry{near}")
    return by_name[name]


def _field(field: _Field) -> Field:
    field_type = _TYPES.get(field.type, FieldType.ANY_TYPE)
    return Field(
        name=field.name,
        type=field_type,
        kinds=kinds_of_type(field_type),
        values=tuple(value.value for value in field.picklist_values if value.active)
        if field_type in {FieldType.PICKLIST, FieldType.MULTIPICKLIST}
        else (),
        restricted=field.restricted_picklist,
        refers_to=tuple(field.reference_to),
        relationship=field.relationship_name,
        calculated=field.calculated,
        nillable=field.nillable,
    )
