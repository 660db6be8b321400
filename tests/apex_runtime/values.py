"""The values of Apex, as the language and the org pass them to each other.

null is None, Boolean `bool`, Integer `int`, Long `Long`, Decimal `decimal.Decimal`, Double `float`,
String `str`, Id `Id`, Date `dt.date`, Datetime `ApexDatetime`, Time `ApexTime`, Blob `bytes`.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tests.apex_runtime.containers import ApexList, ApexMap, ApexSet
from tests.apex_runtime.errors import (
    ApexThrown,
    CompileError,
    LimitReached,
    NotModelled,
    new_exception,
    null_pointer,
    throw,
)
from tests.apex_runtime.heap import deep_copy, heap_bytes
from tests.apex_runtime.objects import ApexObject, ClassLike, PlatformClass, SObject
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, EnumValue, Id, Long, TypeValue

Value = (
    bool
    | int
    | float
    | Decimal
    | str
    | bytes
    | dt.date
    | ApexDatetime
    | ApexTime
    | EnumValue
    | TypeValue
    | ApexList
    | ApexSet
    | ApexMap
    | ApexObject
    | SObject
    | None
)
"""Whatever an Apex variable may hold."""

__all__ = [
    "ApexDatetime",
    "ApexList",
    "ApexMap",
    "ApexObject",
    "ApexSet",
    "ApexThrown",
    "ApexTime",
    "ClassLike",
    "CompileError",
    "EnumValue",
    "Id",
    "LimitReached",
    "Long",
    "NotModelled",
    "PlatformClass",
    "SObject",
    "TypeValue",
    "Value",
    "deep_copy",
    "heap_bytes",
    "new_exception",
    "null_pointer",
    "throw",
]
