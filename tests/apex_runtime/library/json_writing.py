"""`JSON.serialize`: values to JSON text. [apex_class_System_Json]"""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.declarations import ClassInfo
from tests.apex_runtime.language.text import double_text, time_text, value_text
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, EnumValue, Id

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

_API_VERSION = "v65.0"
_QUOTE = json.JSONEncoder(ensure_ascii=False).encode


def serialized(session: Session, value: Value, suppress_nulls: bool = False) -> str:  # noqa: FBT001, FBT002 (as Apex passes it)
    """Return JSON text. A record prints the fields that are populated, explicit nulls included."""
    return _Writer(session, suppress_nulls=suppress_nulls).text(value)


class _Writer:
    """Writes one value. `in_record`: a record's moments end in `+0000`, all others in `Z`."""

    def __init__(self, session: Session, *, suppress_nulls: bool) -> None:
        self._session = session
        self._suppress_nulls = suppress_nulls
        self._around: set[int] = set()

    def text(self, value: Value, *, in_record: bool = False) -> str:  # noqa: PLR0911 (one case a type)
        match value:
            case None:
                return "null"
            case bool():
                return "true" if value else "false"
            case float():
                return double_text(value)
            case str():
                return _QUOTE(str.__str__(value))
            case int() | Decimal():
                return value_text(self._session, value)
            case ApexDatetime():
                zone = "+0000" if in_record else "Z"
                return f'"{value.utc:%Y-%m-%dT%H:%M:%S}.{value.ms % 1000:03}{zone}"'
            case dt.date() | EnumValue():
                return f'"{value_text(self._session, value)}"'
            case ApexTime():
                return f'"{time_text(value)}"'
            case bytes():
                return f'"{base64.b64encode(value).decode()}"'
            case _:
                return self._structure(value)

    def _structure(self, value: Value) -> str:
        if id(value) in self._around:
            throw("JSONException", "Apex Type unsupported in JSON: a loop of references")
        self._around.add(id(value))
        try:
            match value:
                case ApexList() | ApexSet():
                    return f"[{','.join(self.text(each) for each in value)}]"
                case ApexMap():
                    pairs = [(self._key(key), self.text(each)) for key, each in value.items()]
                    return _object(pairs)
                case SObject():
                    return self._record(value)
                case ApexObject() if isinstance(value.cls, ClassInfo):
                    return self._instance(value, value.cls)
                case _:
                    raise NotModelled(f"JSON of {value_text(self._session, value)}")
        finally:
            self._around.discard(id(value))

    def _key(self, key: Value) -> str:
        if key is None:
            throw("JSONException", "null key in a map")
        return value_text(self._session, key)

    def _record(self, record: SObject) -> str:
        url = f"/services/data/{_API_VERSION}/sobjects/{record.type_name}"
        record_id = record.fields.get("Id")
        if isinstance(record_id, Id):
            url += f"/{record_id}"
        attributes = _object([("type", _QUOTE(record.type_name)), ("url", _QUOTE(url))])
        pairs = [("attributes", attributes)]
        for name, each in record.fields.items():
            if isinstance(each, ApexList):
                raise NotModelled(f"JSON of child records {name}")
            pairs.append((name, self.text(each, in_record=True)))
        return _object(pairs)

    def _instance(self, value: ApexObject, cls: ClassInfo) -> str:
        if cls.is_a("exception"):
            raise NotModelled(f"JSON of {cls.name}")
        return _object(
            [
                (name, self.text(each))
                for name, each in value.fields.items()
                if name not in cls.transient and not (each is None and self._suppress_nulls)
            ]
        )


def _object(pairs: list[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{_QUOTE(name)}:{text}' for name, text in pairs)}}}"
