from __future__ import annotations

import pytest

from workers.relay.retries import RETRY_DELAYS_S, retry_delay_s


@pytest.mark.parametrize(
    ("attempt", "pause_s"), [(1, 1), (2, 5), (3, 30), (4, 120), (5, 600), (6, 1800), (700, 1800)]
)
def test_pauses_grow_to_half_an_hour_and_go_on(attempt: int, pause_s: float) -> None:
    for _ in range(50):
        assert pause_s * 0.8 <= retry_delay_s(attempt) <= pause_s * 1.2


def test_retries_do_not_come_in_step() -> None:
    assert len({retry_delay_s(1) for _ in range(10)}) > 1
    assert list(RETRY_DELAYS_S) == sorted(RETRY_DELAYS_S)
