from __future__ import annotations

import pytest

from workers.relay.breaker import HELD_IN_A_ROW, Breaker


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, count: int = HELD_IN_A_ROW) -> None:
    for _ in range(count):
        breaker.held()


def test_it_opens_after_ten_in_a_row_and_not_before(breaker: Breaker) -> None:
    fail(breaker, 9)
    breaker.answered()
    fail(breaker, 9)
    assert breaker.is_ready
    breaker.held()
    assert not breaker.is_ready


def test_what_was_under_way_when_it_opened_changes_nothing_unless_it_is_answered(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 20)
    clock.now_s += 4.9
    assert not breaker.is_ready
    breaker.answered()
    assert breaker.is_ready


def test_pauses_double_up_to_a_minute_until_a_probe_is_answered(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker)
    for pause_s in (5, 10, 20, 40, 60, 60):
        clock.now_s += pause_s - 0.1
        assert not breaker.is_ready
        clock.now_s += 0.1
        assert breaker.is_ready
        assert breaker.start()
        assert not breaker.is_ready
        breaker.held()
    clock.now_s += 60
    assert breaker.start()
    breaker.answered()
    assert breaker.is_ready
    assert not breaker.start()


def test_a_probe_that_found_nothing_to_send_is_tried_again_at_once(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker)
    clock.now_s += 5
    assert breaker.start()
    breaker.not_probed()
    assert breaker.is_ready
    assert breaker.start()
    breaker.held()
    breaker.not_probed()
    assert not breaker.is_ready
