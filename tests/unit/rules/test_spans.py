from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.moment import Moment
from rules.spans import Span, never_in_order, position_of, prepare
from rules.temporal import MAX_RELATIVE_YEARS, Day, Point, instant_of, point_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
LAST_MS = 253_402_300_799_999
ZONES = tuple(
    map(
        ZoneInfo,
        (
            "UTC",
            "America/New_York",
            "Europe/Berlin",
            "Asia/Kolkata",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Pacific/Apia",
            "Atlantic/Azores",
        ),
    )
)


def point(operand: str) -> Point:
    found = point_of(operand)
    assert found is not None
    return found


def moment(instant: str, zone: str = "UTC") -> Moment:
    at = instant_of(instant)
    assert at is not None
    return Moment(at // 1000, ZoneInfo(zone))


def span(operand: str, at: Moment) -> Span:
    found = prepare(point(operand))(at)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-05-01", "America/New_York", 24),
        ("2026-03-08", "America/New_York", 23),
        ("2026-11-01", "America/New_York", 25),
        ("2026-09-06", "America/Santiago", 23),
        ("2026-04-05", "Australia/Lord_Howe", 24.5),
        ("2011-12-30", "Pacific/Apia", 0),
    ],
)
def test_a_day_is_as_long_as_it_is_there(day: str, zone: str, hours: float) -> None:
    found = span(day, moment("2026-05-01T00:00:00Z", zone))
    assert found.end - found.start == hours * HOUR


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  hypothesis wants the bounds without a zone
    st.integers(-2, 2),
    st.sampled_from(ZONES),
)
def test_an_instant_lies_where_its_local_date_does(at: datetime, days: int, zone: ZoneInfo) -> None:
    local = at.astimezone(zone).date()
    named = local + timedelta(days=days)
    found = prepare(Day(named.toordinal()))(Moment(0, zone))
    assert found is not None
    value = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    expected = (local > named) - (local < named)
    assert position_of(value, found) == expected
    assert position_of(local.isoformat(), found) == expected


@given(
    st.integers(0, LAST_MS),
    st.sampled_from(ZONES),
    st.sampled_from(("days", "weeks", "months", "years", "hours", "minutes")),
    st.integers(0, MAX_RELATIVE_YEARS),
    st.sampled_from(("ago", "from now")),
)
def test_no_moment_and_no_distance_raises(
    at: int, zone: ZoneInfo, unit: str, count: int, direction: str
) -> None:
    find = prepare(point(f"{count} {unit} {direction}"))
    found = find(Moment(at, zone))
    assert found is None or found.start < found.end or zone.key == "Pacific/Apia"


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: zone.key)
@pytest.mark.parametrize(
    "operand",
    ["0001-01-01", "9999-12-31", "0001-01-01T00:00:00+1400", "9999-12-31T23:59:59-1200", "today"],
)
@pytest.mark.parametrize("at", [-62_135_596_800_000, 0, LAST_MS])
def test_the_ends_of_the_calendar_raise_nothing(zone: ZoneInfo, operand: str, at: int) -> None:
    found = prepare(point(operand))(Moment(at, zone))
    for value in ("0001-01-01", "9999-12-31", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        assert found is None or position_of(value, found) in {-1, 0, 1}


def test_a_change_beyond_the_calendar_has_no_today() -> None:
    for at in (LAST_MS + 1, -(10**18), 10**18):
        assert prepare(point("today"))(Moment(at)) is None
        assert prepare(point("1000 years from now"))(Moment(LAST_MS)) is None
        assert prepare(point("now"))(Moment(at)) is not None


def test_a_span_is_found_anew_once_the_day_or_the_zone_is_another() -> None:
    find = prepare(point("yesterday"))
    days = [
        find(moment(instant, zone))
        for instant, zone in (
            ("2026-05-08T03:00:00Z", "UTC"),
            ("2026-05-08T23:00:00Z", "UTC"),
            ("2026-05-09T00:00:00Z", "UTC"),
            ("2026-05-09T00:00:00Z", "America/New_York"),
            ("2026-05-08T03:00:00Z", "UTC"),
        )
    ]
    ordinals = [found.day for found in days if found is not None]
    assert [date.fromordinal(day).day for day in ordinals] == [7, 7, 8, 7, 7]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        ("2026-05-01", "2026-05-01", False),
        ("2026-05-02", "2026-05-01", True),
        ("2026-05-01T12:00:00Z", "2026-05-01T12:00:00Z", False),
        ("2026-05-01T12:00:01Z", "2026-05-01T12:00:00Z", True),
        ("2026-05-02", "2026-05-01T12:00:00Z", False),
        ("2026-05-03", "2026-05-01T12:00:00Z", True),
        ("7 days ago", "today", False),
        ("today", "7 days ago", True),
        ("now", "today", False),
        ("now", "1 minute ago", True),
        ("1 month ago", "30 days ago", False),
        ("1 month ago", "32 days ago", True),
        ("tomorrow", "now", True),
        ("today", "2020-01-01", False),
        ("2030-01-01", "today", False),
    ],
)
def test_ends_that_are_never_in_order_are_told(low: str, high: str, *, verdict: bool) -> None:
    assert never_in_order(point(low), point(high)) is verdict
