"""What commands understand by a time."""

from __future__ import annotations

import time

import click
import pytest

from ops.commands.since import Time


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("90m", 90 * 60), ("24h", 86_400), ("7d", 7 * 86_400), ("2w", 14 * 86_400)],
)
def test_a_duration_counts_back_from_now(text: str, ago_s: int) -> None:
    now_ms = time.time() * 1000
    assert abs(now_ms - ago_s * 1000 - Time().convert(text, None, None)) < 5_000


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-05-01T12:00:00Z", 1_777_636_800_000),
        ("2026-05-01T14:00:00.5+02:00", 1_777_636_800_500),
        ("2026-05-01T12:00:00", 1_777_636_800_000),
        ("2026-05-01", 1_777_593_600_000),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, at: int) -> None:
    assert Time().convert(text, None, None) == at


@pytest.mark.parametrize("text", ["", "7", "0d", "-7d", "7 days", "1y", "9999999999d", "yesterday"])
def test_whatever_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="90m, 24h or 7d"):
        Time().convert(text, None, None)
