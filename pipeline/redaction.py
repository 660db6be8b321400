"""What may be told of an error: its type, its place in the code, and no value that it quotes.

Libraries quote what they could not take: PostgreSQL the row, Python the key or the text, HTTP the
URL with its token. Such words belong in tables that operators read, never in a log.
"""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
from aiormq.exceptions import AMQPError

from pipeline.errors import DATA_EXCEPTION, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN: Final = frozenset({"ingest", "ops", "pipeline", "rules", "workers"})
# These speak of servers, places and types; whatever else there is may quote what it was given.
_QUOTE_NOTHING: Final = (
    OSError,
    AMQPError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    msgspec.MsgspecError,
)
# The one thing that msgspec quotes.
_ENUM_VALUE: Final = re.compile(r"(Invalid enum value) .*?(?= - at |$)", re.DOTALL)
_CAUSED: Final = "\nThis was the direct cause of the following:\n\n"
_AMID: Final = "\nWhile this was handled, there was:\n\n"


def redacted(error: BaseException) -> str:
    """Return an error in one line: its type, and its words if they can hold no value."""
    name = type(error).__name__
    words = _words(error)
    return f"{name}: {words}" if words else name


def redacted_traceback(error: BaseException) -> str:
    """Return an error's traceback, its causes' included, with no more words than `redacted`."""
    return "".join(_lines(error, set())).rstrip("\n")


def _words(error: BaseException) -> str:
    match error:
        case PermanentError():
            return error.reason
        case asyncpg.PostgresError() if str(error.sqlstate).startswith(DATA_EXCEPTION):
            return f"SQLSTATE {error.sqlstate}"
        case asyncpg.InterfaceError() if isinstance(error, ValueError):
            # An argument of a query.
            return ""
        case BaseExceptionGroup():
            return f"{error.message} ({len(error.exceptions)})"
        case _:
            return _plain_words(error)


def _plain_words(error: BaseException) -> str:
    is_own = type(error).__module__.partition(".")[0] in _OWN
    if not is_own and not isinstance(error, _QUOTE_NOTHING):
        return ""
    # The arguments, not the text: PostgreSQL's has the detail, which quotes rows.
    words = ", ".join(filter(None, map(_word, error.args)))
    return _ENUM_VALUE.sub(r"\1", words)


def _word(told: object) -> str:
    match told:
        case str() | int():
            return str(told)
        case BaseException():
            return redacted(told)
        case _:
            # A message, say, with its body.
            return type(told).__name__


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    for cause, link in (
        (error.__cause__, _CAUSED),
        (None if error.__suppress_context__ else error.__context__, _AMID),
    ):
        if cause is not None and id(cause) not in seen:
            yield from _lines(cause, seen)
            yield link
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{redacted(error)}\n"
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            if id(one) not in seen:
                yield "\nAmong these was:\n\n"
                yield from _lines(one, seen)
