"""When a change happened, as rules with dates see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import date, tzinfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment:
    """The instant of a change and the org's time zone. Relative dates count from it."""

    __slots__ = ("_local", "captured_at", "zone")

    def __init__(self, captured_at: int, zone: tzinfo = UTC) -> None:
        self.captured_at = captured_at
        self.zone = zone
        self._local: datetime | None = None

    @property
    def local(self) -> datetime:
        """Return the instant in the org's time zone; computed once, and only when asked."""
        if self._local is None:
            self._local = (_EPOCH + timedelta(milliseconds=self.captured_at)).astimezone(self.zone)
        return self._local

    @property
    def today(self) -> date:
        """Return the day of the change in the org's time zone."""
        return self.local.date()
