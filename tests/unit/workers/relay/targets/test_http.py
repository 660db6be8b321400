from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from workers.relay.targets.http import held, retry_after_s

if TYPE_CHECKING:
    import aiohttp

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


@pytest.mark.parametrize(
    ("status", "is_known"),
    [(401, True), (404, True), (429, True), (408, False), (500, False), (503, False), (504, False)],
)
def test_a_target_that_gave_up_or_broke_down_may_have_done_what_it_was_asked(
    status: int, *, is_known: bool
) -> None:
    answer = cast("aiohttp.ClientResponse", SimpleNamespace(status=status, headers={}))
    assert held(answer).is_known is is_known
