"""Times as people and other programs read them: RFC 3339, UTC, to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncpg import Record

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
