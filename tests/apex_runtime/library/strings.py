"""`String`. [apex_methods_system_string]"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList
from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import to_id, wrapped
from tests.apex_runtime.language.text import text_of, value_text
from tests.apex_runtime.library.code_units import in_units, length
from tests.apex_runtime.library.message_format import formatted
from tests.apex_runtime.library.registry import InSession, define
from tests.apex_runtime.scalars import SHORT_ID_LENGTH, Id
from tests.apex_runtime.types import INTEGER, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

_ELLIPSIS = "..."
_WHITE = " \t\n\r\f\v"
# What Java's expressions have and Python's have not, or mean otherwise.
_OTHER_DIALECT = re.compile(r"\\[pPQEGhHRXkzZ]|\(\?<[a-zA-Z]|[*+?}]\+|&&")


def _between(text: str, start: int, end: int) -> str:
    if not 0 <= start <= end <= len(text):
        raise_bounds(start, end)
    return text[start:end]


def raise_bounds(start: int, end: int) -> None:
    """Throw what Apex throws for places outside a String."""
    throw("StringException", f"Starting position out of bounds: {start}, {end}")


def _abbreviate(text: str, width: int) -> str:
    if width <= len(_ELLIPSIS):
        throw("StringException", "Minimum abbreviation width is 4")
    return text if len(text) <= width else text[: width - len(_ELLIPSIS)] + _ELLIPSIS


def pattern(regex: str) -> re.Pattern[str]:
    """Compile a regular expression of Java's as Python's, which agree on everyday ones."""
    if _OTHER_DIALECT.search(regex):
        raise NotModelled(f"regular expression {regex}")
    return re.compile(regex, re.ASCII)


def _split(text: str, regex: str, limit: int = 0) -> ApexList:
    """Split as Java does: without a limit, empty texts at the end are left out."""
    parts: list[Value] = []
    start = 0
    for found in pattern(regex).finditer(text):
        if 0 < limit <= len(parts) + 1:
            break
        if found.end() == 0:
            continue
        parts.append(text[start : found.start()])
        start = found.end()
    parts.append(text[start:])
    if limit == 0:
        while len(parts) > 1 and parts[-1] == "":
            parts.pop()
    return ApexList(STRING, parts)


def _join(session: Session, values: Iterable[Value], separator: str) -> str:
    return separator.join("" if each is None else text_of(session, each) for each in values)


def _hash(text: str) -> int:
    code = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for place in range(0, len(units), 2):
        code = wrapped(code * 31 + int.from_bytes(units[place : place + 2]))
    return code


def _compare(one: str, other: str) -> int:
    """Compare as Java does: by the first characters that differ, else by length."""
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return ord(mine) - ord(theirs)
    return len(one) - len(other)


def _replace_all(text: str, regex: str, replacement: str) -> str:
    return pattern(regex).sub(_replacement(replacement), text)


def _replace_first(text: str, regex: str, replacement: str) -> str:
    return pattern(regex).sub(_replacement(replacement), text, count=1)


def _replacement(java: str) -> str:
    r"""Return Java's `$1` as Python's `\g<1>`."""
    return re.sub(r"\$(\d)", r"\\g<\1>", java)


def _last(text: str, of: str) -> str:
    before, found, after = text.rpartition(of)
    return "" if not found and before == "" else after


define(
    "String",
    statics={
        "valueOf(Object) String": InSession(
            lambda session, value: None if value is None else value_text(session, value)
        ),
        "isBlank(String?) Boolean": lambda text: text is None or not text.strip(),
        "isNotBlank(String?) Boolean": lambda text: text is not None and bool(text.strip()),
        "isEmpty(String?) Boolean": lambda text: not text,
        "isNotEmpty(String?) Boolean": bool,
        "join(Iterable<Object>,String) String": InSession(_join),
        "format(String,List<Object>) String": InSession(formatted),
        "escapeSingleQuotes(String) String": lambda text: text.replace("'", "\\'"),
        "fromCharArray(List<Integer>) String": lambda codes: "".join(map(chr, codes)),
    },
    methods={
        "abbreviate(Integer) String": in_units(_abbreviate),
        "capitalize() String": lambda text: text[:1].upper() + text[1:],
        "charAt(Integer) Integer": in_units(
            lambda text, place: ord(_between(text, place, place + 1))
        ),
        "compareTo(String) Integer": _compare,
        "contains(String) Boolean": lambda text, part: part in text,
        "containsIgnoreCase(String) Boolean": lambda text, part: part.lower() in text.lower(),
        "countMatches(String) Integer": lambda text, part: text.count(part),
        "deleteWhitespace() String": lambda text: "".join(text.split()),
        "endsWith(String) Boolean": lambda text, part: text.endswith(part),
        "endsWithIgnoreCase(String) Boolean": lambda text, part: text.lower().endswith(
            part.lower()
        ),
        "equals(String?) Boolean": lambda text, other: other is not None and text == other,
        "equals(Object) Boolean": lambda text, other: isinstance(other, str) and text == other,
        "equalsIgnoreCase(String?) Boolean": lambda text, other: (
            other is not None and text.lower() == other.lower()
        ),
        "getChars() List<Integer>": in_units(lambda text: ApexList(INTEGER, map(ord, text))),
        "hashCode() Integer": _hash,
        "indexOf(String) Integer": in_units(lambda text, part: text.find(part)),
        "indexOf(String,Integer) Integer": in_units(
            lambda text, part, start: text.find(part, start)
        ),
        "indexOfIgnoreCase(String) Integer": in_units(
            lambda text, part: text.lower().find(part.lower())
        ),
        "isAlphanumeric() Boolean": lambda text: text.isalnum(),
        "isAlpha() Boolean": lambda text: text.isalpha(),
        "isNumeric() Boolean": lambda text: text.isdigit(),
        "isWhitespace() Boolean": lambda text: not text.strip(),
        "lastIndexOf(String) Integer": in_units(lambda text, part: text.rfind(part)),
        "left(Integer) String": in_units(lambda text, count: text[: max(0, count)]),
        "leftPad(Integer) String": in_units(lambda text, count: text.rjust(count)),
        "leftPad(Integer,String) String": in_units(
            lambda text, width, pad: _padding(text, width, pad) + text
        ),
        "length() Integer": length,
        "mid(Integer,Integer) String": in_units(
            lambda text, start, count: text[start : start + count]
        ),
        "normalizeSpace() String": lambda text: " ".join(text.split()),
        "remove(String) String": lambda text, part: text.replace(part, ""),
        "removeEnd(String) String": lambda text, part: text.removesuffix(part),
        "removeStart(String) String": lambda text, part: text.removeprefix(part),
        "repeat(Integer) String": lambda text, count: text * count,
        "replace(String,String) String": lambda text, old, new: text.replace(old, new),
        "replaceAll(String,String) String": _replace_all,
        "replaceFirst(String,String) String": _replace_first,
        "reverse() String": lambda text: text[::-1],
        "right(Integer) String": in_units(lambda text, count: text[max(0, len(text) - count) :]),
        "rightPad(Integer) String": in_units(lambda text, count: text.ljust(count)),
        "rightPad(Integer,String) String": in_units(
            lambda text, width, pad: text + _padding(text, width, pad)
        ),
        "split(String) List<String>": _split,
        "split(String,Integer) List<String>": _split,
        "startsWith(String) Boolean": lambda text, part: text.startswith(part),
        "startsWithIgnoreCase(String) Boolean": lambda text, part: text.lower().startswith(
            part.lower()
        ),
        "substring(Integer) String": in_units(lambda text, start: _between(text, start, len(text))),
        "substring(Integer,Integer) String": in_units(_between),
        "substringAfter(String) String": lambda text, part: text.partition(part)[2],
        "substringAfterLast(String) String": _last,
        "substringBefore(String) String": lambda text, part: text.partition(part)[0],
        "substringBeforeLast(String) String": lambda text, part: (
            text.rpartition(part)[0] if part in text else text
        ),
        "substringBetween(String,String) String": lambda text, start, end: (
            text.partition(start)[2].partition(end)[0] if start in text else None
        ),
        "toLowerCase() String": lambda text: text.lower(),
        "toUpperCase() String": lambda text: text.upper(),
        "trim() String": lambda text: text.strip(_WHITE),
        "toString() String": lambda text: text,
        "uncapitalize() String": lambda text: text[:1].lower() + text[1:],
    },
)


def _padding(text: str, width: int, pad: str) -> str:
    missing = max(0, width - len(text))
    return (pad * missing)[:missing]


def _record_type(session: Session, record_id: Id) -> Value:
    return session.type_of_id(record_id)


define(
    "Id",
    statics={
        "valueOf(String) Id": to_id,
    },
    methods={
        "getSObjectType() SObjectType": InSession(_record_type),
        "to15() String": lambda this: str(this)[:SHORT_ID_LENGTH],
        "toString() String": str,
    },
)
