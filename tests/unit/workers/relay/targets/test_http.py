from __future__ import annotations

from datetime import UTC, datetime

import pytest

from workers.relay.targets.http import retry_after_s

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "pause_s"),
    [
        ("90", 90.0),
        (" 0 ", 0.0),
        ("9" * 5000, 3600.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:29:00 2026", 60.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:00:00 GMT", 3600.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
    ],
)
def test_a_pause_is_asked_for_in_seconds_or_by_a_date_and_bounded(
    asked: str, pause_s: float | None
) -> None:
    assert retry_after_s({"Retry-After": asked}, NOW) == pause_s


def test_an_answer_that_asks_for_nothing_gets_nothing() -> None:
    assert retry_after_s({}, NOW) is None
