"""Dates and datetimes as records spell them, and the points in time that a rule may name.

A record holds a day (`2026-05-01`) or an instant (`2026-05-01T12:00:00.000+0000`). A rule names
one of these, or a point relative to the change. Instants are microseconds since 1970, days are
ordinals of the proleptic Gregorian calendar, whose years are 1 to 9999; nothing here raises on
any record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Scalar

MAX_RELATIVE_YEARS: Final = 1000

_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[-+]\d\d:?\d\d)", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY_LENGTH: Final = len("2026-05-01")
_RELATIVE: Final = re.compile(
    r"(\d{1,10}) +(minute|hour|day|week|month|year)s? +(ago|from +now)", re.ASCII | re.IGNORECASE
)
_MEANT: Final = re.compile(r"\d{4}-\d\d?-\d\d?.*|.*\b(?:ago|from +now) *", re.ASCII | re.IGNORECASE)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS: Final = {"minute": 60_000_000, "hour": 3_600_000_000}
_DAYS: Final = {"day": 1, "week": 7}
_MONTHS: Final = {"month": 1, "year": 12}
_MONTHS_A_YEAR: Final = 12
_DAY_MICROSECONDS: Final = 86_400_000_000
# The average year is longer, so that this many days are never more than the years allowed.
_YEAR_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Day:
    """`2026-05-01`: a whole day in the org's time zone."""

    ordinal: int


@dataclass(frozen=True, slots=True)
class Instant:
    """`2026-05-01T12:00:00Z`: one microsecond."""

    microseconds: int


@dataclass(frozen=True, slots=True)
class RelativeDay:
    """`today`, `7 days ago`, `2 months from now`: a whole day, so far from that of the change.

    A month that has no such day gives its last one.
    """

    months: int
    days: int


@dataclass(frozen=True, slots=True)
class RelativeInstant:
    """`now`, `2 hours ago`: an instant, so far from that of the change."""

    microseconds: int


Point: TypeAlias = Day | Instant | RelativeDay | RelativeInstant

_WORDS: Final[dict[str, Point]] = {
    "today": RelativeDay(0, 0),
    "yesterday": RelativeDay(0, -1),
    "tomorrow": RelativeDay(0, 1),
    "now": RelativeInstant(0),
}


def instant_of(value: Value) -> int | None:
    """Return the instant that a datetime with a zone names; None for anything else.

    Salesforce writes `2026-05-01T12:00:00.000+0000` and, in places, `Z`. A date is no instant.
    """
    if type(value) is not str or not _INSTANT.fullmatch(value):
        return None
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):  # a thirteenth month, an offset of a day
        return None


def day_of(value: Value) -> int | None:
    """Return the day that a date names; None for anything else, a datetime included."""
    if type(value) is not str or len(value) != _DAY_LENGTH or not _DAY.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value).toordinal()
    except ValueError:  # a thirteenth month
        return None


def point_of(operand: Scalar) -> Point | None:
    """Return the point in time that an operand names, or None when it names none.

    Relative ones may lie `MAX_RELATIVE_YEARS` away at most.
    """
    if type(operand) is not str:
        return None
    if (day := day_of(operand)) is not None:
        return Day(day)
    if (instant := instant_of(operand)) is not None:
        return Instant(instant)
    word = _WORDS.get(operand.lower())
    return word if word is not None else _relative(operand)


def is_meant_as_point(text: str) -> bool:
    """Tell whether a text that may be no point in time was surely meant as one."""
    return _MEANT.fullmatch(text) is not None


def _relative(operand: str) -> Point | None:
    found = _RELATIVE.fullmatch(operand)
    if found is None:
        return None
    count, unit, direction = int(found[1]), found[2].lower(), found[3].lower()
    signed = -count if direction == "ago" else count
    if unit in _MONTHS:
        months = signed * _MONTHS[unit]
        in_reach = abs(months) <= MAX_RELATIVE_YEARS * _MONTHS_A_YEAR
        return RelativeDay(months, 0) if in_reach else None
    if unit in _DAYS:
        days = signed * _DAYS[unit]
        return RelativeDay(0, days) if abs(days) <= MAX_RELATIVE_YEARS * _YEAR_DAYS else None
    microseconds = signed * _MICROSECONDS[unit]
    in_reach = abs(microseconds) <= MAX_RELATIVE_YEARS * _YEAR_DAYS * _DAY_MICROSECONDS
    return RelativeInstant(microseconds) if in_reach else None
