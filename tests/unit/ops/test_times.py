from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.times import ago, iso, span, with_iso_times


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (1_795_449_349_572, "2026-11-23T15:55:49.572Z"),
        (1_795_449_349_572.4, "2026-11-23T15:55:49.572Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (2**63 - 1, "9223372036854775807"),
    ],
)
def test_unix_ms_are_told_in_utc_unless_no_calendar_holds_them(moment: float, told: str) -> None:
    assert iso(moment) == told


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_reads_back_to_the_millisecond(moment: datetime) -> None:
    assert moment - datetime.fromisoformat(iso(moment)) < timedelta(milliseconds=1)


def test_a_time_of_another_zone_is_told_in_utc_and_other_values_stay() -> None:
    summer = timezone(timedelta(hours=2))
    row = {"at": datetime(2026, 7, 1, 1, tzinfo=summer), "captured_at": 7, "none": None}
    assert with_iso_times(row) == {**row, "at": "2026-06-30T23:00:00.000Z"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-3, "0 s"),
        (0.6, "1 s"),
        (59.4, "59 s"),
        (119, "1 min"),
        (3_600, "1 h"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_people_are_told_how_long_something_takes_in_one_or_two_units(
    seconds: float, told: str
) -> None:
    assert span(seconds) == told


def test_people_are_told_how_long_ago_something_was() -> None:
    assert ago(iso(datetime.now(UTC) - timedelta(minutes=12, seconds=5))) == "12 min ago"
