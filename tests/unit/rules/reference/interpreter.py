"""Rules interpreted naively: no code in common with what compiles them, and no thought of speed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never

from pipeline.objects import Operation, long_id
from rules.model import AllOf, AnyOf, Condition, Not, Operator

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pipeline.change import Change, Value
    from rules.model import Clause, Operand, Scalar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Situation(NamedTuple):
    """A change, in an org's time zone."""

    change: Change
    zone: ZoneInfo


def look_up(field: str, change: Change) -> tuple[Value, Value]:
    old, new = change.old or {}, change.new or {}
    if change.operation is Operation.DELETE:
        new = old
    if field in new or field in old:
        spelling = field
    else:
        alike = [name for name in [*new, *old] if name.lower() == field.lower()]
        spelling = alike[0] if alike else field
    return old.get(spelling), new.get(spelling)


def as_decimal(value: Value) -> Decimal | None:
    if isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def as_datetime(value: Value) -> datetime | None:
    for form in ("%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"):
        try:
            return datetime.strptime(str(value), form)  # noqa: DTZ007  both forms have a zone
        except ValueError:
            continue
    return None


def as_date(value: Value) -> date | None:
    parts = value.split("-") if isinstance(value, str) else []
    if [len(part) for part in parts] != [4, 2, 2]:
        return None
    try:
        return date(int(parts[0]), int(parts[1]), int(parts[2]))
    except ValueError:
        return None


def as_point(operand: Operand, at: datetime, zone: ZoneInfo) -> date | datetime | None:
    """Return the day, or the instant, that an operand names at a moment."""
    if not isinstance(operand, str):
        return None
    today = at.astimezone(zone).date()
    words = operand.lower().split()
    if words[-1:] == ["ago"]:
        return moved(at, today, words[1], -int(words[0]))
    if words[-2:] == ["from", "now"]:
        return moved(at, today, words[1], int(words[0]))
    day = timedelta(days=1)
    named = {"today": today, "yesterday": today - day, "tomorrow": today + day, "now": at}
    return named.get(operand.lower()) or as_datetime(operand) or as_date(operand)


def moved(at: datetime, today: date, unit: str, count: int) -> date | datetime:
    unit = unit.rstrip("s")
    if unit in {"month", "year"}:
        return months_on(today, count if unit == "month" else 12 * count)
    length = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}[unit]
    start = at if length <= 3600 else today
    return start + count * timedelta(seconds=length)


def months_on(day: date, count: int) -> date:
    first = day.replace(day=1)
    for _ in range(abs(count)):
        month_after = (first + timedelta(days=31)).replace(day=1)
        first = month_after if count > 0 else (first - timedelta(days=1)).replace(day=1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return min(first + timedelta(days=day.day - 1), last)


def side(value: Value, operand: Operand, at: datetime, zone: ZoneInfo) -> int | None:
    """Return -1, 0 or 1 for before, at and after, by local dates where either is a date."""
    named, instant, day = as_point(operand, at, zone), as_datetime(value), as_date(value)
    if named is None or not isinstance(value, str) or (instant is None and day is None):
        return None
    if isinstance(named, datetime) and instant is not None:
        return (instant > named) - (instant < named)
    own = instant.astimezone(zone).date() if instant is not None else day
    other = named.astimezone(zone).date() if isinstance(named, datetime) else named
    assert own is not None
    return (own > other) - (own < other)


def one_id(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return (len(short), len(long)) == (15, 18) and long.isalnum() and long_id(short) == long


def equal(value: Value, operand: Scalar) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == str(operand).lower()
    if isinstance(value, int | Decimal):
        return as_decimal(operand) == value
    if not isinstance(value, str) or value == "":
        return False
    at = as_datetime(value)
    return (
        value.casefold() == str(operand).casefold()
        or one_id(value, str(operand))
        or (at is not None and at == as_datetime(operand))
    )


def comparable(
    value: Value, operand: Scalar, at: datetime, zone: ZoneInfo
) -> tuple[Any, Any] | None:
    """Return both as one ordered type, or None where there is no order."""
    if value is None or value == "" or isinstance(value, bool | list | dict):
        return None
    if as_point(operand, at, zone) is not None:
        position = side(value, operand, at, zone)
        return None if position is None else (position, 0)
    pair: tuple[Any, Any]
    if isinstance(value, str) and isinstance(operand, str):
        pair = value.casefold(), operand.casefold()
    else:
        pair = as_decimal(value), as_decimal(operand)
    return None if None in pair else pair


def selects(value: Value, operands: tuple[Scalar, ...]) -> bool:
    if not isinstance(value, str):
        return False
    selected = [member.strip().lower() for member in value.split(";")]
    return any(
        all(member.strip().lower() in selected for member in str(operand).split(";"))
        for operand in operands
    )


def direction(old: Value, new: Value) -> int:
    ends: list[Any] = []
    if isinstance(old, str) and isinstance(new, str):
        ends = [as_datetime(old), as_datetime(new)]
        if None in ends:
            ends = [as_date(old), as_date(new)]
    elif isinstance(old, int | Decimal) and isinstance(new, int | Decimal):
        ends = [as_decimal(old), as_decimal(new)]
    if not ends or None in ends:
        return 0
    return int(ends[1] > ends[0]) - int(ends[1] < ends[0])


def unchanged(old: Value, new: Value) -> bool:
    if old is None or old == "":
        return new is None or new == ""
    if type(old) is not type(new) and {type(old), type(new)} != {int, Decimal}:
        return False
    at = as_datetime(old)
    return old == new or (isinstance(old, str) and at is not None and at == as_datetime(new))


def condition_holds(condition: Condition, situation: Situation) -> bool:
    change, zone = situation
    old, new = look_up(condition.field, change)
    if change.operation in {Operation.DELETE, Operation.SNAPSHOT}:
        old = new
    operand = condition.operand
    operands = operand if isinstance(operand, tuple) else (operand,)
    at = EPOCH + timedelta(milliseconds=change.captured_at)
    text = new.casefold() if isinstance(new, str) else ""
    part = str(operand).casefold()
    pairs = [comparable(new, one, at, zone) for one in operands[:2]]
    first, last = pairs[0], pairs[-1]
    position = side(new, operands[0], at, zone)
    within = any(equal(new, one) for one in operands)
    was_within = any(equal(old, one) for one in operands)
    whole = condition.operator is Operator.MATCHES and re.fullmatch(str(operand), str(new))
    return {
        Operator.EQUALS: within,
        Operator.NOT_EQUALS: not within,
        Operator.IN: within,
        Operator.NOT_IN: not within,
        Operator.CONTAINS: text != "" and part in text,
        Operator.NOT_CONTAINS: text == "" or part not in text,
        Operator.STARTS_WITH: text != "" and text.startswith(part),
        Operator.ENDS_WITH: text != "" and text.endswith(part),
        Operator.MATCHES: text != "" and bool(whole),
        Operator.INCLUDES: selects(new, operands),
        Operator.EXCLUDES: not selects(new, operands),
        Operator.IS_SET: new is not None and new != "",
        Operator.IS_EMPTY: new is None or new == "",
        Operator.GREATER_THAN: first is not None and first[0] > first[1],
        Operator.AT_LEAST: first is not None and first[0] >= first[1],
        Operator.LESS_THAN: first is not None and first[0] < first[1],
        Operator.AT_MOST: first is not None and first[0] <= first[1],
        Operator.BETWEEN: first is not None
        and last is not None
        and first[0] >= first[1]
        and last[0] <= last[1],
        Operator.BEFORE: position == -1,
        Operator.AFTER: position == 1,
        Operator.CHANGED: not unchanged(old, new),
        Operator.CHANGED_FROM: was_within and not within,
        Operator.CHANGED_TO: within and not was_within,
        Operator.INCREASED: direction(old, new) == 1,
        Operator.DECREASED: direction(old, new) == -1,
    }[condition.operator]


def clause_holds(clause: Clause, situation: Situation) -> bool:
    match clause:
        case Condition():
            return condition_holds(clause, situation)
        case AllOf():
            return all(clause_holds(inner, situation) for inner in clause.clauses)
        case AnyOf():
            return any(clause_holds(inner, situation) for inner in clause.clauses)
        case Not():
            return not clause_holds(clause.clause, situation)
    assert_never(clause)
