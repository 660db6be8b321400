"""What a request asks for, read strictly: an empty field is one that was left out."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from ops.errors import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PAGE: Final = 50
_MOST_TEXT: Final = 500
_LARGEST: Final = 2**63 - 1

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def text(asked: Mapping[str, object], name: str) -> str | None:
    """Return a field's text without the blanks around it; None if there is none.

    Raises:
        WrongUsage: it is longer than anything that one could look for.
    """
    given = asked.get(name)
    if not isinstance(given, str) or not (stripped := given.strip()):
        return None
    if len(stripped) > _MOST_TEXT or "\0" in stripped:
        raise WrongUsage(f"{name}: longer than {_MOST_TEXT} characters, or no text")
    return stripped


def number(asked: Mapping[str, object], name: str) -> int | None:
    """Return a field's whole number.

    Raises:
        WrongUsage: it is none, or none that a row could have.
    """
    given = text(asked, name)
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal()) or int(given) > _LARGEST:
        raise WrongUsage(f"{name}: {given!r} is no number of a row")
    return int(given)


def choice(asked: Mapping[str, object], name: str, among: type[E]) -> E | None:
    """Return a field's value of an enumeration.

    Raises:
        WrongUsage: it is none of it; says what is.
    """
    given = text(asked, name)
    if given is None:
        return None
    try:
        return among(given)
    except ValueError:
        raise WrongUsage(f"{name}: {given!r} is none of {', '.join(among)}") from None


def one_page(rows: Sequence[T], size: int = PAGE) -> tuple[Sequence[T], bool]:
    """Return a page's rows of those read (one more than a page has), and whether there are more."""
    return rows[:size], len(rows) > size
