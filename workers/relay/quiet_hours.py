"""When quiet hours end, and when a day does, by the clock on a wall somewhere."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

if TYPE_CHECKING:
    from datetime import tzinfo

log = structlog.get_logger()


def quiet_until(now: datetime, start: time, end: time, zone: tzinfo) -> datetime | None:
    """Return when the quiet hours from `start` until `end` that it is now are over, or None.

    `start` after `end` spans midnight. A time of day that comes twice, when clocks are set back,
    ends them at the first that is still to come; one that is skipped, as long after the skip.
    """
    local = now.astimezone(zone)
    wall = local.time()
    is_quiet = start <= wall < end if start <= end else wall >= start or wall < end
    if not is_quiet:
        return None
    day = local.date() if wall < end else local.date() + timedelta(days=1)
    ends = datetime.combine(day, end, zone)
    first, second = (ends.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    return first if first > now else second


def next_midnight(now: datetime, zone: tzinfo) -> datetime:
    """Return when the day that it is now in `zone` is over."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)


@lru_cache(maxsize=1024)
def zone_named(name: str) -> tzinfo:
    """Return a time zone; UTC, with a warning, for a name that this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        log.warning("time_zone_unknown", time_zone=name, error=error)
        return UTC
