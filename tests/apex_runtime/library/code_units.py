"""Places in a String count UTF-16 units, as Java's do: an emoji is two of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_HALVES = "surrogatepass"


def in_units(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of texts that sees one character for each unit."""

    def apply(text: str, *args: Any) -> Any:  # noqa: ANN401 (Values)
        if text.isascii() or not _ASTRAL.search(text):
            return function(text, *args)
        split = [_split(each) if isinstance(each, str) else each for each in args]
        result = function(_split(text), *split)
        return _merged(result) if isinstance(result, str) else result

    return apply


def _split(text: str) -> str:
    units = text.encode("utf-16-le", _HALVES)
    return "".join(
        chr(int.from_bytes(units[place : place + 2], "little")) for place in range(0, len(units), 2)
    )


def _merged(text: str) -> str:
    return text.encode("utf-16-le", _HALVES).decode("utf-16-le", _HALVES)


def length(text: str) -> int:
    """Return how many units a text has."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", _HALVES)) // 2
