"""Failed sign-ins are counted by address, for a minute, of a bounded number of addresses."""

from __future__ import annotations

from ops.console.attempts import Attempts


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_the_eleventh_attempt_within_a_minute_waits_for_the_first_to_be_a_minute_ago() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(10):
        assert attempts.wait_s("10.0.0.1") == 0
        attempts.failed("10.0.0.1")
        clock.now_s += 1
    assert attempts.wait_s("10.0.0.1") == 50
    assert attempts.wait_s("10.0.0.2") == 0
    clock.now_s += 51
    assert attempts.wait_s("10.0.0.1") == 0


def test_addresses_that_failed_longest_ago_are_forgotten_beyond_ten_thousand() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(10):
        attempts.failed("first")
    for number in range(9_999):
        attempts.failed(str(number))
    assert attempts.wait_s("first") > 0
    attempts.failed("one more")
    assert attempts.wait_s("first") == 0
