"""`Date`, `Datetime`, `Time`, for users whose time zone is GMT. [apex_methods_system_datetime]"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled, throw
from tests.apex_runtime.language.conversion import to_datetime
from tests.apex_runtime.library.registry import InSession, define
from tests.apex_runtime.scalars import ApexDatetime, ApexTime, Long

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session

_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?: (\d{1,2}):(\d{1,2}):(\d{1,2}))?")


def _date(year: int, month: int, day: int) -> dt.date:
    try:
        return dt.date(year, month, day)
    except ValueError:
        throw("TypeException", f"Invalid date: {year}-{month}-{day}")


def _datetime(  # noqa: PLR0913, PLR0917 (the parts of a moment)
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0
) -> ApexDatetime:
    start = to_datetime(_date(year, month, day))
    return ApexDatetime(start.ms + hour * _HOUR_MS + minute * _MINUTE_MS + second * _SECOND_MS)


def _of_date_and_time(date: dt.date, time: ApexTime) -> ApexDatetime:
    return ApexDatetime(to_datetime(date).ms + time.ms)


def _parsed(text: str) -> ApexDatetime:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        throw("TypeException", f"Invalid date/time: {text}")
    return _datetime(*(int(part) for part in found.groups() if part is not None))


def _months_later(date: dt.date, months: int) -> dt.date:
    month = date.year * 12 + date.month - 1 + months
    year, month = divmod(month, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(date.day, last))


def _moment_months_later(moment: ApexDatetime, months: int) -> ApexDatetime:
    days = to_datetime(moment.utc.date()).ms
    return ApexDatetime(to_datetime(_months_later(moment.utc.date(), months)).ms + moment.ms - days)


_LETTERS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "EEEE": "%A",
    "EEE": "%a",
    "a": "%p",
}


def _by_letters(moment: ApexDatetime, pattern: str) -> str:
    """Return a moment in a pattern of SimpleDateFormat's letters."""
    out = []
    for found in re.finditer(r"'([^']*)'|(([A-Za-z])\3*)|[^A-Za-z']", pattern):
        quoted, letters = found[1], found[2]
        if letters is None:
            out.append(("'" if quoted == "" else quoted) if quoted is not None else found[0])
        elif letters == "SSS":
            out.append(f"{moment.ms % _SECOND_MS:03}")
        elif letters == "Z":
            out.append("+0000")
        elif letters == "XXX":
            out.append("Z")
        elif letters in {"d", "H", "M", "m", "s"}:
            out.append(str(int(moment.utc.strftime(_LETTERS[letters * 2]))))
        elif letters in _LETTERS:
            out.append(moment.utc.strftime(_LETTERS[letters]))
        else:
            raise NotModelled(f"{letters} in a date format")
    return "".join(out)


def _today(session: Session) -> dt.date:
    return ApexDatetime(session.platform.now_ms()).utc.date()


def _now(session: Session) -> ApexDatetime:
    return ApexDatetime(session.platform.now_ms())


define(
    "Date",
    statics={
        "newInstance(Integer,Integer,Integer) Date": _date,
        "today() Date": InSession(_today),
        "valueOf(String) Date": lambda text: _parsed(text).utc.date(),
        "valueOf(Object) Date": lambda value: value,
        "daysInMonth(Integer,Integer) Integer": lambda year, month: calendar.monthrange(
            year, month
        )[1],
        "isLeapYear(Integer) Boolean": calendar.isleap,
    },
    methods={
        "addDays(Integer) Date": lambda this, days: this + dt.timedelta(days),
        "addMonths(Integer) Date": _months_later,
        "addYears(Integer) Date": lambda this, years: _months_later(this, years * 12),
        "day() Integer": lambda this: this.day,
        "daysBetween(Date) Integer": lambda this, other: (other - this).days,
        "format() String": lambda this: f"{this.month}/{this.day}/{this.year}",
        "month() Integer": lambda this: this.month,
        "toStartOfMonth() Date": lambda this: this.replace(day=1),
        "year() Integer": lambda this: this.year,
    },
)

define(
    "Datetime",
    statics={
        "now() Datetime": InSession(_now),
        "newInstance(Long) Datetime": lambda ms: ApexDatetime(int(ms)),
        "newInstance(Date,Time) Datetime": _of_date_and_time,
        "newInstance(Integer,Integer,Integer) Datetime": _datetime,
        "newInstance(Integer,Integer,Integer,Integer,Integer,Integer) Datetime": _datetime,
        "newInstanceGmt(Date,Time) Datetime": _of_date_and_time,
        "newInstanceGmt(Integer,Integer,Integer) Datetime": _datetime,
        "newInstanceGmt(Integer,Integer,Integer,Integer,Integer,Integer) Datetime": _datetime,
        "valueOf(String) Datetime": _parsed,
        "valueOfGmt(String) Datetime": _parsed,
        "valueOf(Object) Datetime": lambda value: value,
    },
    methods={
        "addDays(Integer) Datetime": lambda this, days: ApexDatetime(this.ms + days * _DAY_MS),
        "addHours(Integer) Datetime": lambda this, hours: ApexDatetime(this.ms + hours * _HOUR_MS),
        "addMinutes(Integer) Datetime": lambda this, minutes: ApexDatetime(
            this.ms + minutes * _MINUTE_MS
        ),
        "addMonths(Integer) Datetime": _moment_months_later,
        "addSeconds(Integer) Datetime": lambda this, seconds: ApexDatetime(
            this.ms + seconds * _SECOND_MS
        ),
        "addYears(Integer) Datetime": lambda this, years: _moment_months_later(this, years * 12),
        "date() Date": lambda this: this.utc.date(),
        "dateGmt() Date": lambda this: this.utc.date(),
        "day() Integer": lambda this: this.utc.day,
        "dayGmt() Integer": lambda this: this.utc.day,
        "format(String) String": _by_letters,
        "format(String,String) String": lambda this, pattern, zone: (
            _by_letters(this, pattern) if zone.upper() in {"GMT", "UTC"} else _other_zone(zone)
        ),
        "formatGmt(String) String": _by_letters,
        "getTime() Long": lambda this: Long(this.ms),
        "hour() Integer": lambda this: this.utc.hour,
        "hourGmt() Integer": lambda this: this.utc.hour,
        "isSameDay(Datetime) Boolean": lambda this, other: this.utc.date() == other.utc.date(),
        "millisecond() Integer": lambda this: this.ms % _SECOND_MS,
        "millisecondGmt() Integer": lambda this: this.ms % _SECOND_MS,
        "minute() Integer": lambda this: this.utc.minute,
        "minuteGmt() Integer": lambda this: this.utc.minute,
        "month() Integer": lambda this: this.utc.month,
        "monthGmt() Integer": lambda this: this.utc.month,
        "second() Integer": lambda this: this.utc.second,
        "secondGmt() Integer": lambda this: this.utc.second,
        "time() Time": lambda this: ApexTime(this.ms % _DAY_MS),
        "timeGmt() Time": lambda this: ApexTime(this.ms % _DAY_MS),
        "year() Integer": lambda this: this.utc.year,
        "yearGmt() Integer": lambda this: this.utc.year,
    },
)


def _other_zone(zone: str) -> str:
    raise NotModelled(f"time zone {zone}")


define(
    "Time",
    statics={
        "newInstance(Integer,Integer,Integer,Integer) Time": lambda hour, minute, second, ms: (
            ApexTime(hour * _HOUR_MS + minute * _MINUTE_MS + second * _SECOND_MS + ms)
        ),
    },
    methods={
        "addHours(Integer) Time": lambda this, hours: this.plus(hours * _HOUR_MS),
        "addMilliseconds(Integer) Time": lambda this, ms: this.plus(ms),
        "addMinutes(Integer) Time": lambda this, minutes: this.plus(minutes * _MINUTE_MS),
        "addSeconds(Integer) Time": lambda this, seconds: this.plus(seconds * _SECOND_MS),
        "hour() Integer": lambda this: this.ms // _HOUR_MS,
        "millisecond() Integer": lambda this: this.ms % _SECOND_MS,
        "minute() Integer": lambda this: this.ms // _MINUTE_MS % 60,
        "second() Integer": lambda this: this.ms // _SECOND_MS % 60,
    },
)
