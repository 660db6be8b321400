"""Where a point in time lies at one moment, and on which side of it a record's value is.

A named day is the whole day in the org's time zone, which has 23 or 25 hours where clocks
change; so an instant can lie before it, within it or after it, as with SOQL's date literals.
Beyond the calendar's ends nothing has a position; nothing here raises on any record.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, assert_never

from rules.moment import Moment
from rules.temporal import Day, Instant, RelativeDay, RelativeInstant, day_of, instant_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from pipeline.change import Value
    from rules.temporal import Point

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY: Final = date.max.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROSECONDS: Final = 86_400_000_000
_MONTHS_A_YEAR: Final = 12


class Span(NamedTuple):
    """A point as it lies at one moment: the instants from `start` to before `end`, and its day."""

    start: int
    end: int
    day: int


Resolve: TypeAlias = "Callable[[Moment], Span | None]"


def position_of(value: Value, span: Span) -> int | None:
    """Return -1, 0 or 1: a record's value lies before, within or after `span`.

    None when it is neither a date nor a datetime. A date is compared by its day alone.
    """
    if (day := day_of(value)) is not None:
        return (day > span.day) - (day < span.day)
    if (instant := instant_of(value)) is not None:
        return -1 if instant < span.start else int(instant >= span.end)
    return None


def prepare(point: Point) -> Resolve:
    """Return what finds the span of `point` at a moment; None where the calendar ends.

    The last answer is kept for as long as nothing that it depends on has changed.
    """
    match point:
        case Day():
            return _kept(_zone, lambda moment: _day_span(point.ordinal, moment.zone))
        case Instant():
            return _kept(_zone, lambda moment: _instant_span(point.microseconds, moment.zone))
        case RelativeDay():
            return _kept(_day, lambda moment: _relative_day_span(point, moment))
        case RelativeInstant():
            return _kept(
                _instant,
                lambda moment: _instant_span(
                    moment.captured_at * 1000 + point.microseconds, moment.zone
                ),
            )
    assert_never(point)


def never_in_order(low: Point, high: Point) -> bool:
    """Tell whether `low` ends up wholly after `high`, whatever the moment and the time zone.

    A relative point passes every absolute one some day, so such a pair is never refused.
    """
    if isinstance(low, Day | Instant) is not isinstance(high, Day | Instant):
        return False
    find_low, find_high = prepare(low), prepare(high)
    for moment in _sampled_moments():
        from_, to = find_low(moment), find_high(moment)
        if from_ is not None and to is not None and from_.start < to.end:
            return False
    return True


def _sampled_moments() -> Iterator[Moment]:
    """Yield each day from one leap year to the next, in the outermost time zones."""
    zones = (timezone(timedelta(hours=-12)), timezone(timedelta(hours=14)))
    first = date(2024, 1, 1).toordinal()
    for day, zone in product(range(first, first + 4 * 366), zones):
        yield Moment((day - _EPOCH.toordinal()) * 86_400_000, zone)


def _zone(moment: Moment) -> object:
    return moment.zone


def _day(moment: Moment) -> object:
    return (_local_day(moment), moment.zone)


def _instant(moment: Moment) -> object:
    return (moment.captured_at, moment.zone)


def _kept(key_of: Callable[[Moment], object], find: Resolve) -> Resolve:
    """Return `find` with a memory of its last answer; `key_of` gives all that it depends on."""
    kept: tuple[object, Span | None] = (None, None)

    def resolve(moment: Moment) -> Span | None:
        nonlocal kept
        key = key_of(moment)
        if kept[0] != key:
            kept = (key, find(moment))
        return kept[1]

    return resolve


def _instant_span(instant: int, zone: tzinfo) -> Span:
    try:
        local = (_EPOCH + timedelta(microseconds=instant)).astimezone(zone)
        day = local.toordinal()
    except OverflowError:  # so near to an end of the calendar that the zone's day lies beyond it
        day = 1 if instant < 0 else _LAST_DAY
    return Span(instant, instant + 1, day)


def _day_span(day: int, zone: tzinfo) -> Span:
    start = _start_of(day, zone)
    end = _start_of(day + 1, zone) if day < _LAST_DAY else start + _DAY_MICROSECONDS
    return Span(start, end, day)


def _start_of(day: int, zone: tzinfo) -> int:
    # Where clocks are put forward at midnight, 00:00 does not exist; with the offset of the time
    # before, as an aware datetime reads it, it is the instant at which the day begins.
    midnight = datetime.combine(date.fromordinal(day), datetime.min.time(), zone)
    return (midnight - _EPOCH) // _MICROSECOND


def _relative_day_span(point: RelativeDay, moment: Moment) -> Span | None:
    today = _local_day(moment)
    if today is None:
        return None
    day = _months_later(today, point.months) + point.days
    return _day_span(day, moment.zone) if 1 <= day <= _LAST_DAY else None


def _local_day(moment: Moment) -> int | None:
    try:
        return moment.today.toordinal()
    except OverflowError:  # the change is beyond the calendar
        return None


def _months_later(day: int, months: int) -> int:
    """Return the same day of the month so many months later; 0 where the calendar ends."""
    if months == 0:
        return day
    start = date.fromordinal(day)
    year, month = divmod(start.year * _MONTHS_A_YEAR + start.month - 1 + months, _MONTHS_A_YEAR)
    if not date.min.year <= year <= date.max.year:
        return 0
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(start.day, last)).toordinal()
