"""`JSON.deserialize` and its like: JSON text to values. [apex_class_System_Json]"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import to_id, wrapped
from tests.apex_runtime.library.json_writing import serialized
from tests.apex_runtime.library.registry import InSession, define
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import ApexDatetime, Long, TypeValue
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
    OBJECT,
    STRING,
    ApexType,
    Kind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

_LONG_BITS = 64
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,3})\d*)?(Z|[+-]\d\d:?\d\d)")


def _refused(constant: str) -> NoReturn:
    throw("JSONException", f"Unexpected character: {constant}")


def _parsed(text: str) -> Any:  # noqa: ANN401 (JSON)
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refused)
    except (ValueError, RecursionError) as problem:
        throw("JSONException", f"Malformed JSON: {problem}")


def _whole(number: int) -> Value:
    """Return an Integer, a Long where it needs one, a Double beyond that."""
    if wrapped(number) == number:
        return number
    return Long(number) if wrapped(number, _LONG_BITS) == number else float(number)


def untyped(text: str) -> Value:
    """Return maps, lists and primitives, as `JSON.deserializeUntyped` does."""
    return _untyped(_parsed(text))


def _untyped(value: Any) -> Value:  # noqa: ANN401 (JSON)
    match value:
        case dict():
            return ApexMap(STRING, OBJECT, [(key, _untyped(each)) for key, each in value.items()])
        case list():
            return ApexList(OBJECT, map(_untyped, value))
        case int() if not isinstance(value, bool):
            return _whole(value)
        case None | bool() | str() | Decimal():
            return value
        case _:
            raise NotModelled(f"JSON {value!r}")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads JSON into a type; a strict one refuses names that the type has not."""

    session: Session
    strict: bool

    def read(self, value: Any, type_: ApexType) -> Value:  # noqa: ANN401 (JSON)
        """Return a value of the type; JSONException where the JSON is another thing."""
        if value is None or type_ == OBJECT:
            return _untyped(value)
        match type_.kind:
            case Kind.PRIMITIVE:
                return _primitive(value, type_)
            case Kind.COLLECTION:
                return self._collection(value, type_)
            case Kind.SOBJECT:
                return self._record(_mapping(value, type_), type_)
            case Kind.CLASS:
                return self._instance(value, type_)
            case Kind.LIBRARY | Kind.VARIABLE | Kind.NULL | Kind.VOID:
                raise NotModelled(f"JSON into {type_}")

    def _collection(self, value: Any, type_: ApexType) -> Value:  # noqa: ANN401 (JSON)
        if type_.name == "Map":
            key, each = type_.args
            return ApexMap(
                key,
                each,
                [
                    (_primitive(name, key), self.read(part, each))
                    for name, part in _mapping(value, type_).items()
                ],
            )
        if not isinstance(value, list):
            throw("JSONException", f"Malformed JSON: Expected '[' at the beginning of {type_}")
        (element,) = type_.args
        parts = [self.read(part, element) for part in value]
        return ApexList(element, parts) if type_.name == "List" else ApexSet(element, parts)

    def _record(self, value: dict[str, Any], type_: ApexType) -> SObject:
        name = type_.name
        if name == "SObject":
            name = str(value.get("attributes", {}).get("type", ""))
        info = self.session.world.sobject(name)
        if info is None:
            throw("JSONException", "Type information not found: attributes.type")
        record = SObject(info.schema.name)
        for key, each in value.items():
            if key == "attributes":
                continue
            if key.casefold() not in info.fields:
                throw("JSONException", f"No such column '{key}' on sobject of type {name}")
            spelled, field_type = info.fields[key.casefold()]
            record.fields[spelled] = self.read(each, field_type)
        return record

    def _instance(self, value: Any, type_: ApexType) -> Value:  # noqa: ANN401 (JSON)
        """Return an instance, whose constructor does not run."""
        cls = self.session.world.class_of(type_)
        if cls is None or cls.form == "interface":
            raise NotModelled(f"JSON into {type_}")
        if cls.form == "enum":
            named = self.session.world.enum_constant(type_, str(value))
            if named is None:
                throw("JSONException", f"Unknown enum value {value} for {type_}")
            return named
        if any(each.instance_steps for each in cls.lineage()):
            raise NotModelled(f"JSON into {type_}, whose fields begin with values")
        fields = {
            field.name.casefold(): field
            for each in cls.lineage()
            for field in each.fields.values()
            if not field.is_static
        }
        made = ApexObject(cls, {field.name: None for field in fields.values()})
        for name, each in _mapping(value, type_).items():
            if name.casefold() in fields:
                field = fields[name.casefold()]
                made.fields[field.name] = self.read(each, field.type)
            elif self.strict:
                throw("JSONException", f"Unknown field: {type_}.{name}")
        return made


def _mapping(value: Any, type_: ApexType) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    if not isinstance(value, dict):
        throw("JSONException", f"Malformed JSON: Expected '{{' at the beginning of {type_}")
    return value


def _primitive(value: Any, type_: ApexType) -> Value:  # noqa: ANN401 (JSON)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    read = _READERS.get(type_)
    if type_ == INTEGER and not (is_whole and wrapped(value) == value):
        read = None
    if isinstance(value, str):
        taken = type_ in _FROM_TEXT
    elif isinstance(value, bool):
        taken = type_ == BOOLEAN
    else:
        taken = type_ in {DECIMAL, DOUBLE} or (is_whole and type_ in {INTEGER, LONG})
    if read is None or not taken or isinstance(value, (dict, list)):
        throw("JSONException", f"Illegal value for primitive {type_}: {value}")
    return read(value)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        throw("JSONException", f"Invalid format: {text}")


def moment(text: str) -> ApexDatetime:
    """Return a moment written as `2026-05-01T12:00:00.000+0000` or with `Z`."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        throw("JSONException", f"Invalid format: {text}")
    zone = "+00:00" if found[3] == "Z" else found[3]
    milliseconds = (found[2] or "0").ljust(3, "0")
    return ApexDatetime.of(dt.datetime.fromisoformat(f"{found[1]}.{milliseconds}{zone}"))


_FROM_TEXT = frozenset({STRING, ID, DATE, DATETIME, BLOB})
_READERS: dict[ApexType, Callable[[Any], Value]] = {
    STRING: str,
    ID: to_id,
    DATE: _date,
    DATETIME: moment,
    BLOB: base64.b64decode,
    BOOLEAN: bool,
    INTEGER: int,
    LONG: Long,
    DECIMAL: Decimal,
    DOUBLE: float,
}


def _typed(session: Session, text: str, type_: TypeValue, *, strict: bool) -> Value:
    return _Reader(session, strict).read(_parsed(text), type_.type)


define(
    "JSON",
    statics={
        "serialize(Object) String": InSession(serialized),
        "serialize(Object,Boolean) String": InSession(serialized),
        "deserializeUntyped(String) Object": untyped,
        "deserialize(String,Type) Object": InSession(
            lambda session, text, type_: _typed(session, text, type_, strict=False)
        ),
        "deserializeStrict(String,Type) Object": InSession(
            lambda session, text, type_: _typed(session, text, type_, strict=True)
        ),
    },
)
