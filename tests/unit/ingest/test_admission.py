from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ingest.admission import InFlight, OrgRates
from ingest.problems import Problem, unavailable

ORG = "00D5g000004XyzAEAS"
OTHER_ORG = "00D5g000004OthrEAS"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def admitted_count(rates: OrgRates, tries: int, org_id: str = ORG) -> int:
    count = 0
    for _ in range(tries):
        try:
            rates.admit(org_id)
        except Problem:
            continue
        count += 1
    return count


def test_who_sends_too_fast_is_told_when_to_come_back() -> None:
    rates = OrgRates(1, Clock())
    rates.admit(ORG)
    with pytest.raises(Problem) as problem:
        rates.admit(ORG)
    assert (problem.value.status, problem.value.retry_after_s) == (429, 1)


def test_a_second_of_callouts_comes_in_at_once_and_no_more() -> None:
    assert admitted_count(OrgRates(7, Clock()), tries=100) == 7


def test_tokens_come_back_with_the_time_and_never_pile_up() -> None:
    clock = Clock()
    rates = OrgRates(10, clock)
    assert admitted_count(rates, tries=100) == 10
    clock.now_s += 0.5
    assert admitted_count(rates, tries=100) == 5
    clock.now_s += 3600
    assert admitted_count(rates, tries=100) == 10


def test_refusals_cost_no_tokens() -> None:
    clock = Clock()
    rates = OrgRates(1, clock)
    admitted_count(rates, tries=1)
    for _ in range(10):
        clock.now_s += 0.125
        admitted_count(rates, tries=5)
    clock.now_s += 1
    assert admitted_count(rates, tries=5) == 1


def test_one_org_does_not_spend_anothers() -> None:
    rates = OrgRates(3, Clock())
    assert admitted_count(rates, tries=10) == 3
    assert admitted_count(rates, tries=10, org_id=OTHER_ORG) == 3


@given(
    st.integers(1, 50),
    st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=20),
)
def test_never_more_than_the_rate_and_one_second_ahead(per_s: int, pauses_s: list[float]) -> None:
    clock = Clock()
    rates = OrgRates(per_s, clock)
    admitted = 0
    for pause_s in pauses_s:
        clock.now_s += pause_s
        admitted += admitted_count(rates, tries=2 * per_s)
    assert admitted <= per_s * (sum(pauses_s) + 1) + 1e-6


def test_up_to_the_bound_is_held_and_not_a_byte_more() -> None:
    in_flight = InFlight(100)
    with in_flight.hold() as one, in_flight.hold() as other:
        one.add(60)
        other.add(40)
        with pytest.raises(Problem) as problem:
            other.add(1)
        assert (problem.value.status, bool(problem.value.retry_after_s)) == (503, True)
        assert in_flight.held_bytes == 100
    assert in_flight.held_bytes == 0


def test_what_was_held_is_given_back_after_any_error() -> None:
    in_flight = InFlight(100)

    def hold_and_fail(error: BaseException) -> None:
        with in_flight.hold() as held:
            held.add(70)
            held.add(20)
            raise error

    for error in (unavailable("later"), ZeroDivisionError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            hold_and_fail(error)
        assert in_flight.held_bytes == 0


def test_the_gauge_says_what_is_held() -> None:
    in_flight = InFlight(100)
    with in_flight.hold() as held:
        held.add(42)
        assert REGISTRY.get_sample_value("penstock_in_flight_bytes") == 42
    assert REGISTRY.get_sample_value("penstock_in_flight_bytes") == 0
