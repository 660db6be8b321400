"""Values as texts: what `String.valueOf`, `+` and `System.debug` make of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.objects import ApexObject, SObject
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, EnumValue, TypeValue

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

_SCIENTIFIC_FROM, _SCIENTIFIC_BELOW = 1e7, 1e-3
_SECOND_MS, _MINUTE_MS, _HOUR_MS = 1_000, 60_000, 3_600_000


def text_of(session: Session, value: Value) -> str:
    """Return the text that concatenation gives for a value."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dt.date):
        return f"{value.isoformat()} 00:00:00"
    return value_text(session, value)


def value_text(session: Session, value: Value) -> str:  # noqa: C901, PLR0911, PLR0912 (one case a type)
    """Return what `String.valueOf` gives for a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return int.__str__(value)
        case Decimal():
            return format(value, "f")
        case float():
            return double_text(value)
        case str():
            return str.__str__(value)
        case dt.date():
            return value.isoformat()
        case ApexDatetime():
            return value.utc.strftime("%Y-%m-%d %H:%M:%S")
        case ApexTime():
            return time_text(value)
        case EnumValue():
            return value.name
        case TypeValue():
            return str(value.type)
        case ApexList():
            return f"({', '.join(text_of(session, each) for each in value)})"
        case ApexSet():
            return f"{{{', '.join(text_of(session, each) for each in value)}}}"
        case ApexMap():
            return f"{{{_pairs(session, value.items())}}}"
        case SObject():
            return f"{value.type_name}:{{{_pairs(session, value.fields.items())}}}"
        case ApexObject():
            return session.object_text(value)
        case _:
            raise NotModelled(f"the text of a {type(value).__name__}")


def _pairs(session: Session, pairs: object) -> str:
    return ", ".join(f"{text_of(session, k)}={text_of(session, v)}" for k, v in pairs)  # type: ignore[attr-defined]  # pairs of values


def double_text(value: float) -> str:
    """Return a Double as Java writes it: 1.0, 1.5E10."""
    if value == 0 or _SCIENTIFIC_BELOW <= abs(value) < _SCIENTIFIC_FROM:
        return repr(float(value))
    digits, _, exponent = f"{value!r}".partition("e")
    if not exponent:
        sign, figures, power = Decimal(digits).normalize().as_tuple()
        if not isinstance(power, int):
            return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[digits]
        tail = "".join(map(str, figures[1:])) or "0"
        return f"{'-' * sign}{figures[0]}.{tail}E{power + len(figures) - 1}"
    return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"


def time_text(value: ApexTime) -> str:
    """Return a Time as `10:20:30.000Z`."""
    hours, rest = divmod(value.ms, _HOUR_MS)
    minutes, rest = divmod(rest, _MINUTE_MS)
    seconds, ms = divmod(rest, _SECOND_MS)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z"
