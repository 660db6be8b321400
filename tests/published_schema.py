"""The types of published records' fields, as published schemas give them."""

from __future__ import annotations

import datetime as dt
import json
import re
from enum import Enum, auto
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, assert_never

from msgspec import Raw

from tests.published_files import DATA, SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}


class Kind(Enum):
    """How a field's text becomes JSON."""

    TEXT = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    DATE = auto()
    DATETIME = auto()
    COMPOUND = auto()


_KINDS: Final = {
    **dict.fromkeys(("int", "double", "currency", "percent", "number"), Kind.NUMBER),
    **dict.fromkeys(("xsd:int", "xsd:double"), Kind.NUMBER),
    **dict.fromkeys(("boolean", "xsd:boolean"), Kind.BOOLEAN),
    **dict.fromkeys(("date", "xsd:date"), Kind.DATE),
    **dict.fromkeys(("datetime", "xsd:dateTime"), Kind.DATETIME),
    **dict.fromkeys(("address", "Address"), Kind.COMPOUND),
}
# Other objects, not fields.
_RELATIONS: Final = ("tns:QueryResult", "ens:")


class Field(NamedTuple):
    """A field as its org spells it."""

    name: str
    kind: Kind


def field_of(sobject: str, name: str) -> Field:
    """Return a field by its name in any case; one that no schema knows is text."""
    return _fields_of(sobject).get(name.lower(), Field(name, Kind.TEXT))


@cache
def _fields_of(sobject: str) -> dict[str, Field]:
    """Return an object's fields by their names in lower case."""
    known: dict[str, Field] = {}
    for path in SCHEMAS:
        for name, type_name in _columns(json.loads((DATA / path).read_text()), sobject):
            if not type_name.startswith(_RELATIONS):
                known.setdefault(name.lower(), Field(name, _KINDS.get(type_name, Kind.TEXT)))
    return known


def _columns(schema: dict[str, Any], sobject: str) -> Iterator[tuple[str, str]]:
    if "fields" in schema:
        columns = schema["fields"] if schema["name"] == sobject else []
    else:
        columns = schema.get(sobject, [])
    for column in columns:
        yield column["name"], column.get("type") or column["tsType"]


def number(digits: str) -> Raw:
    """Return a JSON number with the digits as they were written."""
    return Raw(digits.encode())


def typed(value: object, kind: Kind) -> object:
    """Return a published value as an org's JSON would hold it; what does not fit stays text."""
    if not isinstance(value, str):
        return value
    match kind:
        case Kind.TEXT:
            return value
        case Kind.NUMBER:
            return number(value) if _NUMBER.fullmatch(value) else value
        case Kind.BOOLEAN:
            return _TRUTHS.get(value.lower(), value)
        case Kind.DATE | Kind.DATETIME:
            instant = _instant(value)
            return instant if kind is Kind.DATETIME else instant.partition("T")[0]
        case Kind.COMPOUND:
            return json.loads(value, parse_int=number, parse_float=number)
        case _:
            assert_never(kind)


def _instant(text: str) -> str:
    """Return a date or time that a spreadsheet printed as an org's JSON does; else the text."""
    if "/" not in text:
        return text
    form = "%m/%d/%y %I:%M %p" if " " in text else "%m/%d/%y"
    moment = dt.datetime.strptime(text, form).replace(tzinfo=dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
