from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rules.temporal import (
    Day,
    Instant,
    Point,
    RelativeDay,
    RelativeInstant,
    day_of,
    instant_of,
    is_meant_as_point,
    point_of,
)

if TYPE_CHECKING:
    from pipeline.change import Value

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-01T12:00:00Z",
        "2026-05-01T25:00:00Z",
        "2026-05-01T12:00:00+2500",
        "2026-05-01T12:00:00",
        "2026-05-01",
        "0000-01-01T00:00:00Z",
        "\N{FULLWIDTH DIGIT TWO}026-05-01T12:00:00Z",
        "\ud800",
    ],
)
def test_what_is_no_instant_stays_text(text: str) -> None:
    assert instant_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29",
        "2026-00-01",
        "0000-01-01",
        "2026-5-1",
        "20260501",
        "2026-W18-5",
        "2026-05-01T12:00:00Z",
        "\N{FULLWIDTH DIGIT TWO}026-05-01",
    ],
)
def test_what_is_no_day_stays_text(text: str) -> None:
    assert day_of(text) is None


def test_what_is_no_text_is_no_time() -> None:
    values: list[Value] = [None, 20260501, True, ["2026-05-01"], {}]
    for value in values:
        assert day_of(value) is None
        assert instant_of(value) is None
    assert point_of(20260501) is None
    assert point_of(True) is None


@pytest.mark.parametrize(
    ("operand", "point"),
    [
        ("1970-01-02", Day(719164)),
        ("1970-01-01T01:00:00+0100", Instant(0)),
        ("1970-01-01T00:00:00.000001Z", Instant(1)),
        ("today", RelativeDay(0, 0)),
        ("Yesterday", RelativeDay(0, -1)),
        ("TOMORROW", RelativeDay(0, 1)),
        ("now", RelativeInstant(0)),
        ("7 days ago", RelativeDay(0, -7)),
        ("1 Day From Now", RelativeDay(0, 1)),
        ("2 weeks ago", RelativeDay(0, -14)),
        ("3 months from now", RelativeDay(3, 0)),
        ("2 years ago", RelativeDay(-24, 0)),
        ("30 minutes ago", RelativeInstant(-HOUR // 2)),
        ("1 hour from  now", RelativeInstant(HOUR)),
        ("0 days ago", RelativeDay(0, 0)),
        ("1000 years ago", RelativeDay(-12_000, 0)),
        ("365000 days from now", RelativeDay(0, 365_000)),
    ],
)
def test_a_rule_names_a_point_in_time(operand: str, point: Point) -> None:
    assert point_of(operand) == point


@pytest.mark.parametrize(
    "operand",
    [
        "1001 years ago",
        "12001 months from now",
        "52143 weeks ago",
        "365001 days ago",
        "8760001 hours ago",
        "99999999999999999999 minutes from now",
        "-1 days ago",
        "1.5 days ago",
        "a day ago",
        "7 days",
        "7 decades ago",
        "7days ago",
        "today ",
        "soon",
        "\N{ARABIC-INDIC DIGIT SEVEN} days ago",
    ],
)
def test_what_is_too_far_or_no_point_is_none(operand: str) -> None:
    assert point_of(operand) is None


def test_text_that_was_surely_meant_as_a_point_is_told_from_the_rest() -> None:
    for text in ("2026-02-29", "2026-5-1", "2026-05-01T12:00:00", "7 dayz ago", "5 DAYS FROM NOW "):
        assert is_meant_as_point(text)
    for text in ("M", "1000", "Chicago", "today's", "12:00:00.000Z"):
        assert not is_meant_as_point(text)
