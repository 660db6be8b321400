from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.relay.quiet_hours import next_midnight, quiet_until, zone_named

NEW_YORK = ZoneInfo("America/New_York")
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut")


def at(text: str) -> datetime:
    """Return an instant that is written in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "now", "until"),
    [
        # 08:30 in New York, in winter.
        ("08:00", "09:00", "2026-01-10T13:30", "2026-01-10T14:00"),
        ("08:00", "09:00", "2026-01-10T13:00", "2026-01-10T14:00"),
        ("08:00", "09:00", "2026-01-10T14:00", None),
        ("08:00", "09:00", "2026-01-10T12:59", None),
        # 23:00 and 03:00, over midnight.
        ("22:00", "07:00", "2026-01-11T04:00", "2026-01-11T12:00"),
        ("22:00", "07:00", "2026-01-11T08:00", "2026-01-11T12:00"),
        ("22:00", "07:00", "2026-01-11T12:00", None),
        # The night in which clocks go forward is an hour shorter, and that in which they go back
        # an hour longer.
        ("22:00", "07:00", "2026-03-08T05:00", "2026-03-08T11:00"),
        ("22:00", "07:00", "2026-11-01T04:00", "2026-11-01T12:00"),
        # 01:30 comes twice: 01:10 the first time, and the second.
        ("00:30", "01:30", "2026-11-01T05:10", "2026-11-01T05:30"),
        ("00:30", "01:30", "2026-11-01T06:10", "2026-11-01T06:30"),
        # 02:30 does not come: as long after the skip.
        ("01:00", "02:30", "2026-03-08T06:30", "2026-03-08T07:30"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(
    start: str, end: str, now: str, until: str | None
) -> None:
    told = quiet_until(at(now), time.fromisoformat(start), time.fromisoformat(end), NEW_YORK)
    assert told == (None if until is None else at(until))


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)),  # noqa: DTZ001  made aware below
    st.times(),
    st.times(),
    st.sampled_from(ZONES),
)
def test_quiet_hours_always_end_within_a_day_and_never_in_the_past(
    moment: datetime, start: time, end: time, zone: str
) -> None:
    now = moment.replace(tzinfo=UTC)
    until = quiet_until(now, start, end, ZoneInfo(zone))
    if until is not None:
        assert timedelta() < until - now <= timedelta(hours=26)


def test_a_day_ends_at_midnight_where_the_org_is() -> None:
    assert next_midnight(at("2026-11-01T12:00"), NEW_YORK) == at("2026-11-02T05:00")
    assert next_midnight(at("2026-11-01T03:59"), NEW_YORK) == at("2026-11-01T04:00")
    # In Beirut the clocks skip midnight itself.
    beirut = ZoneInfo("Asia/Beirut")
    assert next_midnight(at("2026-03-28T12:00"), beirut) == at("2026-03-28T22:00")


def test_a_zone_that_nobody_knows_is_utc() -> None:
    assert zone_named("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert zone_named("Mars/Olympus") is UTC
    assert zone_named("../etc/passwd") is UTC
