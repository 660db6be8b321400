"""`Integer`, `Long`, `Double`, `Decimal`, `Boolean`, `Math`.

[apex_methods_system_decimal and others]
"""

from __future__ import annotations

import decimal
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import wrapped
from tests.apex_runtime.language.text import double_text
from tests.apex_runtime.library.registry import define, define_enum
from tests.apex_runtime.scalars import EnumValue, Long

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.library.registry import Function
    from tests.apex_runtime.values import Value

_LONG_BITS = 64
_WHOLE = re.compile(r"[+-]?\d+")
_BROKEN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_ROUNDINGS = {
    "UP": decimal.ROUND_UP,
    "DOWN": decimal.ROUND_DOWN,
    "CEILING": decimal.ROUND_CEILING,
    "FLOOR": decimal.ROUND_FLOOR,
    "HALF_UP": decimal.ROUND_HALF_UP,
    "HALF_DOWN": decimal.ROUND_HALF_DOWN,
    "HALF_EVEN": decimal.ROUND_HALF_EVEN,
}
_PRECISE = decimal.Context(prec=200)


def _parsed(text: str, kind: str, bits: int) -> int:
    if _WHOLE.fullmatch(text) is None or wrapped(int(text), bits) != int(text):
        throw("TypeException", f"Invalid {kind}: {text}")
    return int(text)


def _integer_of(value: Value) -> int:
    """Return what `Integer.valueOf(Object)` gives: of a text or a number."""
    if isinstance(value, str):
        return _parsed(value.strip(), "integer", 32)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, float)):
        throw("TypeException", f"Invalid integer: {value!r}")
    return wrapped(int(value))


def _decimal_of(text: str) -> Decimal:
    if _BROKEN.fullmatch(text.strip()) is None:
        throw("TypeException", f"Invalid decimal: {text}")
    return Decimal(text.strip())


def _double_of(value: Value) -> float:
    if isinstance(value, str):
        return float(_decimal_of(value))
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, float)):
        throw("TypeException", f"Invalid double: {value!r}")
    return float(value)


def _grouped(value: float | Decimal) -> str:
    return f"{value:,}"


define(
    "Integer",
    statics={
        "valueOf(String) Integer": lambda text: _parsed(text.strip(), "integer", 32),
        "valueOf(Object) Integer": _integer_of,
    },
    methods={
        "format() String": _grouped,
        "intValue() Integer": lambda this: this,
    },
)
define(
    "Long",
    statics={"valueOf(String) Long": lambda text: Long(_parsed(text, "long", _LONG_BITS))},
    methods={
        "format() String": _grouped,
        "intValue() Integer": lambda this: wrapped(int(this)),
    },
)
define(
    "Double",
    statics={
        "valueOf(Object) Double": _double_of,
    },
    methods={
        "format() String": double_text,
        "intValue() Integer": lambda this: wrapped(int(this)),
        "longValue() Long": lambda this: Long(wrapped(int(this), _LONG_BITS)),
    },
)


def _rounded(this: Decimal, places: int, mode: EnumValue | str) -> Decimal:
    name = mode if isinstance(mode, str) else mode.name
    if name not in _ROUNDINGS:
        raise NotModelled(f"System.RoundingMode.{name}")
    unit = Decimal(1).scaleb(-places)
    return this.quantize(unit, rounding=_ROUNDINGS[name], context=_PRECISE)


def _divided(this: Decimal, by: Decimal, places: int, mode: EnumValue | str) -> Decimal:
    if by == 0:
        throw("MathException", "Divide by 0")
    return _rounded(_PRECISE.divide(this, by), places, mode)


def _scale(this: Decimal) -> int:
    exponent = this.as_tuple().exponent
    assert isinstance(exponent, int)
    return max(0, -exponent)


def _stripped(this: Decimal) -> Decimal:
    return this.normalize(_PRECISE)


define(
    "Decimal",
    statics={
        "valueOf(String) Decimal": _decimal_of,
        "valueOf(Long) Decimal": Decimal,
        "valueOf(Double) Decimal": lambda value: Decimal(repr(value)),
    },
    methods={
        "abs() Decimal": abs,
        "divide(Decimal,Integer) Decimal": lambda this, by, places: _divided(
            this, by, places, "HALF_UP"
        ),
        "divide(Decimal,Integer,RoundingMode) Decimal": _divided,
        "doubleValue() Double": float,
        "format() String": _grouped,
        "intValue() Integer": lambda this: wrapped(int(this)),
        "longValue() Long": lambda this: Long(wrapped(int(this), _LONG_BITS)),
        "pow(Integer) Decimal": _PRECISE.power,
        "precision() Integer": lambda this: len(this.as_tuple().digits),
        "round() Long": lambda this: Long(int(_rounded(this, 0, "HALF_EVEN"))),
        "round(RoundingMode) Long": lambda this, mode: Long(int(_rounded(this, 0, mode))),
        "scale() Integer": _scale,
        "setScale(Integer) Decimal": lambda this, places: _rounded(this, places, "HALF_UP"),
        "setScale(Integer,RoundingMode) Decimal": _rounded,
        "stripTrailingZeros() Decimal": _stripped,
        "toPlainString() String": lambda this: format(this, "f"),
    },
)
define_enum(
    "RoundingMode",
    "CEILING",
    "DOWN",
    "FLOOR",
    "HALF_DOWN",
    "HALF_EVEN",
    "HALF_UP",
    "UNNECESSARY",
    "UP",
)
define(
    "Boolean",
    statics={
        "valueOf(String) Boolean": lambda text: text.lower() == "true",
        "valueOf(Object) Boolean": lambda value: str(value).lower() == "true",
    },
)


def _mod(number: int, by: int) -> Value:
    """Return the remainder with the sign of the dividend."""
    if by == 0:
        throw("MathException", "Divide by 0")
    rest = abs(number) % abs(by)
    return number.__class__(rest if number >= 0 else -rest)


def _for_numbers(
    name: str, function: Callable[..., Any], types: str, arity: int
) -> dict[str, Function]:
    """Return a row for each type that a function of `Math` takes and gives."""
    return {f"{name}({','.join([type_] * arity)}) {type_}": function for type_ in types.split()}


_ALL = "Integer Long Double Decimal"

define(
    "Math",
    statics={
        **_for_numbers("abs", abs, "Double Decimal", 1),
        "abs(Integer) Integer": lambda value: wrapped(abs(value)),
        "abs(Long) Long": lambda value: Long(wrapped(abs(value), _LONG_BITS)),
        **_for_numbers("max", max, _ALL, 2),
        **_for_numbers("min", min, _ALL, 2),
        **_for_numbers("mod", _mod, "Integer Long", 2),
        "ceil(Decimal) Decimal": lambda value: _rounded(value, 0, "CEILING"),
        "ceil(Double) Double": lambda value: float(math.ceil(value)),
        "floor(Decimal) Decimal": lambda value: _rounded(value, 0, "FLOOR"),
        "floor(Double) Double": lambda value: float(math.floor(value)),
        "pow(Double,Double) Double": lambda base, power: float(base**power),
        "round(Decimal) Integer": lambda value: wrapped(int(_rounded(value, 0, "HALF_UP"))),
        "round(Double) Integer": lambda value: wrapped(math.floor(value + 0.5)),
        "roundToLong(Decimal) Long": lambda value: Long(int(_rounded(value, 0, "HALF_EVEN"))),
        "sqrt(Double) Double": math.sqrt,
        "log(Double) Double": math.log,
    },
)
