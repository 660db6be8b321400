"""Values without parts: what Apex has beyond Python's own null, Boolean, Integer and String."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.apex_runtime.types import ApexType

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY_MS = 86_400_000
_SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID_PATTERN = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
SHORT_ID_LENGTH = 15


class Long(int):
    """A 64-bit integer; a plain `int` is an Integer of 32 bits."""

    __slots__ = ()


class Id(str):
    """A record id of 18 characters; one of 15 is extended, so both forms are equal.

    Whether a text is an id at all is for `Id.valid` to say first.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Return the 18-character form of `text`."""
        return super().__new__(cls, extended(text) if len(text) == SHORT_ID_LENGTH else text)

    @staticmethod
    def valid(text: str) -> bool:
        """Say whether `text` has the form of an id, with its check characters right."""
        if _ID_PATTERN.fullmatch(text) is None:
            return False
        short = text[:SHORT_ID_LENGTH]
        return len(text) == SHORT_ID_LENGTH or extended(short).casefold() == text.casefold()


def extended(short: str) -> str:
    """Return the 18-character form of a 15-character id: three characters tell its capitals."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(
            1 << place
            for place, letter in enumerate(short[start : start + 5])
            if "A" <= letter <= "Z"
        )
        suffix += _SUFFIXES[bits]
    return short + suffix


@dataclass(frozen=True, slots=True, order=True)
class ApexDatetime:
    """A moment, in Unix ms."""

    ms: int

    @property
    def utc(self) -> dt.datetime:
        """Return the moment as an aware datetime in UTC."""
        return _EPOCH + dt.timedelta(milliseconds=self.ms)

    @staticmethod
    def of(moment: dt.datetime) -> ApexDatetime:
        """Return an aware datetime as Apex holds it."""
        return ApexDatetime((moment - _EPOCH) // dt.timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True, order=True)
class ApexTime:
    """A time of day, in ms since midnight."""

    ms: int

    def plus(self, ms: int) -> ApexTime:
        """Return the time so much later, around midnight."""
        return ApexTime((self.ms + ms) % _DAY_MS)


@dataclass(frozen=True, slots=True)
class EnumValue:
    """A constant of an enumeration, by the enumeration's name, the constant's and its place."""

    type_name: str
    name: str
    ordinal: int
    of_platform: bool = True


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A `System.Type`: what `Foo.class` and `Type.forName` give."""

    type: ApexType
