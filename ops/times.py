"""Times as people and other programs read them: RFC 3339, UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncpg import Record

_UNITS_S: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(moment: datetime | float) -> str:
    """Return a time, a number being Unix ms, such as `2026-11-23T15:55:49.572Z`.

    A number that is in no year from 1 to 9999 is returned as it is: dead letters hold such.
    """
    if not isinstance(moment, datetime):
        try:
            moment = _EPOCH + timedelta(milliseconds=moment)
        except OverflowError:
            return str(moment)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def with_iso_times(row: Mapping[str, Any] | Record) -> dict[str, Any]:
    """Return a database's row with each `timestamptz` of it as text."""
    return {
        name: iso(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def span(seconds: float) -> str:
    """Return how long something takes, for people: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    left = max(0, round(seconds))
    for place, (unit, length) in enumerate(_UNITS_S[:-1]):
        if left >= length:
            count, rest = divmod(left, length)
            finer, finer_length = _UNITS_S[place + 1]
            # Nobody plans by the seconds of a minute.
            finer_count = rest // finer_length if finer != "s" else 0
            return f"{count} {unit} {finer_count} {finer}" if finer_count else f"{count} {unit}"
    return f"{left} s"


def ago(moment: str) -> str:
    """Return how long ago a time in RFC 3339 was, for people: `12 min ago`."""
    return f"{span(age_s(moment))} ago"


def age_s(moment: str) -> float:
    """Return how many seconds ago a time in RFC 3339 was."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
