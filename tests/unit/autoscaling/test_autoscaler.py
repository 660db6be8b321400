from __future__ import annotations

from tests.autoscaling.autoscaler import (
    Autoscaler,
    Policy,
    PolicyType,
    ScaledObject,
)

NUMBERS = ScaledObject(
    min_count=1, max_count=10, target_count=50, activation_count=0, polling_s=15, cooldown_s=300
)


def test_asks_for_a_replica_for_each_target_begun() -> None:
    assert Autoscaler(NUMBERS).sync(0, 151, 1) == 4
    assert Autoscaler(NUMBERS).sync(0, 1, 1) == 1


def test_leaves_alone_what_is_within_a_tenth_of_the_target() -> None:
    for message_count, expected in ((109, 2), (111, 3), (90, 2)):
        assert Autoscaler(NUMBERS).sync(0, message_count, 2) == expected


def test_adds_four_or_doubles_in_15_s_whichever_is_more() -> None:
    autoscaler = Autoscaler(NUMBERS._replace(max_count=100))
    assert autoscaler.sync(0, 100_000, 1) == 5
    # A second look within the period allows nothing beyond it.
    assert autoscaler.sync(5, 100_000, 5) == 5
    assert autoscaler.sync(15, 100_000, 5) == 10
    assert autoscaler.sync(30, 100_000, 10) == 20


def test_never_goes_past_the_most_or_below_the_least() -> None:
    autoscaler = Autoscaler(NUMBERS._replace(min_count=2, stabilisation_s=0))
    assert autoscaler.sync(0, 100_000, 8) == 10
    assert autoscaler.sync(60, 0, 10) == 2


def test_goes_down_to_what_was_needed_at_most_in_the_last_300_s() -> None:
    autoscaler = Autoscaler(NUMBERS)
    assert autoscaler.sync(0, 400, 8) == 8
    assert autoscaler.sync(15, 200, 8) == 8
    assert autoscaler.sync(299, 0, 8) == 8
    # What was asked for first is forgotten by now; then the 200 of 15 s.
    assert autoscaler.sync(301, 0, 8) == 4
    assert autoscaler.sync(314, 0, 4) == 4
    assert autoscaler.sync(316, 0, 4) == 1


def test_goes_down_no_faster_than_its_policies_let_it() -> None:
    slowly = (Policy(PolicyType.PODS, 1, 60),)
    autoscaler = Autoscaler(NUMBERS._replace(scale_down=slowly, stabilisation_s=0))
    assert autoscaler.sync(0, 0, 5) == 4
    assert autoscaler.sync(15, 0, 4) == 4
    assert autoscaler.sync(61, 0, 4) == 3


def test_keda_wakes_the_first_and_takes_the_last_after_the_cooldown() -> None:
    autoscaler = Autoscaler(NUMBERS._replace(min_count=0, activation_count=5))
    assert autoscaler.poll(0, 5, 0) == 0
    assert autoscaler.sync(0, 500, 0) == 0
    assert autoscaler.poll(15, 6, 0) == 1
    assert autoscaler.poll(300, 0, 1) == 1
    assert autoscaler.poll(316, 0, 1) == 0


def test_the_cooldown_counts_only_on_the_way_to_none() -> None:
    autoscaler = Autoscaler(NUMBERS)
    assert autoscaler.poll(0, 500, 4) == 4
    assert autoscaler.poll(10_000, 0, 4) == 4
    assert autoscaler.poll(10_000, 0, 0) == 1
