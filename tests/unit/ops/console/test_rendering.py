"""What pages say of times, counts and values, and that nothing of a record is markup."""

from __future__ import annotations

import pytest
from msgspec import Raw

from ops.console.rendering import count, duration, ms, query, templates, time, value


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"null", "empty"),
        (b'"Qualified"', "Qualified"),
        (b'"\\u0000 \\ud800"', "\0 \\ud800"),
        (b"1e2", "1e2"),
        (b"250000.00", "250000.00"),
        (b'{"a": 1}', '{"a": 1}'),
    ],
)
def test_a_value_is_shown_with_every_digit_and_character(raw: bytes, shown: str) -> None:
    assert value(Raw(raw)) == shown


def test_times_have_a_zone_and_impossible_ones_are_shown_as_they_are() -> None:
    assert "2026-11-29 04:36:49<small> UTC</small>" in time("2026-11-29T04:36:49.928Z")
    assert "1970-01-01 00:00:01<small> UTC</small>" in time(1_000)
    assert time(2**62) == str(2**62)
    assert time(None) == "—"


def test_counts_and_durations_are_as_precise_as_one_can_use() -> None:
    assert [count(1234567), count(None)] == ["1,234,567", "—"]
    assert [ms(4.56), ms(45.6), ms(4560)] == ["4.6 ms", "46 ms", "4.6 s"]
    assert [duration(0.2), duration(75), duration(None)] == ["200 ms", "1 min", "—"]


def test_a_query_keeps_what_is_asked_and_leaves_out_what_is_empty() -> None:
    assert query({"org": "00D", "state": ""}, before="a~b") == "org=00D&before=a~b"
    assert query({"before": "1"}, before=None) == ""


def test_whatever_comes_from_outside_is_escaped() -> None:
    template = templates().from_string('<p title="{{ text }}">{{ text }}</p>')
    shown = template.render(text='"><script>alert(1)</script>')
    assert "<script>" not in shown
