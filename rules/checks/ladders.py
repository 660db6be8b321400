"""The values that conditions on one field can tell apart: their operands and what lies between."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.objects import is_salesforce_id, long_id
from rules.spans import prepare
from rules.temporal import Day, Instant, RelativeDay, RelativeInstant, day_of, instant_of, point_of
from rules.values import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.change import Value
    from rules.model import Scalar
    from rules.moment import Moment
    from rules.temporal import Point
    from rules.values import Number

_SHORT_ID: Final = 15
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY: Final = date.max.toordinal()
# A rule's numbers have up to 100 characters, so their halves need no more digits than this; with
# greater exponents they are left alone.
_DIGITS: Final = 500
_MAX_EXPONENT: Final = 100
# Two instants further apart are on different days in every time zone.
_DAY_AND_ZONES_US: Final = 27 * 3_600_000_000
# Values that no operand equals: YAML holds no NUL.
_HUGE: Final = Decimal("1E+999999")
_OTHERS: Final[tuple[Value, ...]] = ("\x00", "\x00\x00", {"\x00": True})


class Rungs(NamedTuple):
    """Values of every sort that conditions tell apart, null among them.

    `order_is_exact`: that is so of conditions that order values. `texts_are_exact`: values that
    are equal to the same operands differ in nothing but case.
    """

    values: tuple[Value, ...]
    order_is_exact: bool
    texts_are_exact: bool


def rungs_of(
    equal: Sequence[Scalar], ordered: Sequence[Scalar], *, rises: bool, moment: Moment
) -> Rungs:
    """Return the values for conditions with these operands.

    `equal` are those that values are to equal, `ordered` those that they are to be more or less
    than; `rises`: old and new values are compared with one another as well.
    """
    texts_are_exact = all(instant_of(operand) is None for operand in equal)
    exact = _order_is_exact(equal, ordered, moment) if ordered else True
    if rises and any(map(_is_word, ordered)):
        # What rises is a number or a time, and is ordered among words as the text it is written in.
        exact = False
    rungs: list[Value] = [None, True, False, *_OTHERS]
    for operand in equal:
        rungs += _spellings(operand)
    if rises:
        rungs += (_HUGE, -_HUGE)
    if rises or (ordered and exact):
        numbers = {n for n in map(number_of, (*equal, *ordered)) if n is not None}
        rungs += _number_rungs({0, 1, *numbers} if rises else numbers)
        points = [point for point in map(point_of, (*equal, *ordered)) if point is not None]
        # A value that rises up to the first point comes from one before it.
        rungs += _time_rungs(points, moment, reach=2 if rises else 1)
        rungs += _text_rungs(operand for operand in ordered if isinstance(operand, str))
    return Rungs(_distinct(rungs), exact, texts_are_exact)


def _distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    # True is 1 to Python, and 1.0 too; to a rule a checkbox is no number.
    return tuple({(type(value), str(value)): value for value in values}.values())


def _order_is_exact(equal: Sequence[Scalar], ordered: Sequence[Scalar], moment: Moment) -> bool:
    """Tell whether the operands are of one sort, whose order depends on no moment and zone."""
    if all(not isinstance(operand, str) for operand in ordered):
        return all(_is_moderate(number_of(operand)) for operand in (*equal, *ordered))
    points = [point_of(operand) for operand in ordered]
    if all(point is None for point in points):
        return all(isinstance(operand, str) for operand in ordered) and all(
            instant_of(operand) is None for operand in equal
        )
    sorts = {type(point) for point in points}
    sorts |= {Day for operand in equal if day_of(operand) is not None}
    sorts |= {Instant for operand in equal if instant_of(operand) is not None}
    if len(sorts) > 1:
        return False
    if sorts & {Instant, RelativeInstant}:
        return _are_days_apart([*points, *map(point_of, equal)], moment)
    return all(not isinstance(point, RelativeDay) or point.months == 0 for point in points)


def _is_word(operand: Scalar) -> bool:
    return isinstance(operand, str) and point_of(operand) is None


def _is_moderate(number: Number | None) -> bool:
    return number is None or abs(Decimal(number).adjusted()) <= _MAX_EXPONENT


def _are_days_apart(points: Iterable[Point | None], moment: Moment) -> bool:
    spans = [prepare(point)(moment) for point in points if point is not None]
    starts = sorted({span.start for span in spans if span is not None})
    return all(later - earlier > _DAY_AND_ZONES_US for earlier, later in pairwise(starts))


def _spellings(operand: Scalar) -> Iterator[Value]:
    text = str(operand)
    yield from (text, text.lower(), text.upper())
    if is_salesforce_id(text):
        yield from (long_id(text), text[:_SHORT_ID])
    number = number_of(operand)
    if number is not None:
        yield number


def _number_rungs(numbers: Iterable[Number]) -> Iterator[Value]:
    """Yield the numbers, one between each two, one beyond each end; and each as text."""
    with localcontext() as context:
        context.prec = _DIGITS
        points = sorted(Decimal(number) for number in numbers if _is_moderate(number))
        if not points:
            return
        between = [(low + high) / 2 for low, high in pairwise(points)]
        rungs = [points[0] - 1 - abs(points[0]), *points, *between]
        rungs.append(points[-1] + 1 + abs(points[-1]))
    for rung in rungs:
        # With a blank, text spells the number and equals no operand.
        yield from (rung, f" {rung}")


def _time_rungs(points: Iterable[Point], moment: Moment, *, reach: int) -> Iterator[Value]:
    """Yield days and instants in each point, and `reach` of them right before and after it."""
    for span in (prepare(point)(moment) for point in points):
        if span is None:
            continue
        for day in range(span.day - reach, span.day + reach + 1):
            if 1 <= day <= _LAST_DAY:
                yield date.fromordinal(day).isoformat()
        instants = range(span.start - reach, span.start + 1), range(span.end - 1, span.end + reach)
        for microseconds in chain(*instants):
            try:
                yield (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
            except OverflowError:  # beyond the calendar no record has a value
                continue


def _text_rungs(texts: Iterable[str]) -> Iterator[Value]:
    """Yield each text and the next one after it in the order of texts."""
    for text in texts:
        yield from (text.casefold(), text.casefold() + "\x00")
