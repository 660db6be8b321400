"""Samples are fair and bounded, and made only when they are kept."""

from __future__ import annotations

from collections import Counter

import pytest

from ops.rule_trial.distinct import Distinct, Room
from ops.rule_trial.sampler import Sampler


def sampled(size: int, count: int) -> tuple[list[int], int]:
    """Return what is kept of numbers that come by, and how many of them were ever kept."""
    sampler: Sampler[int] = Sampler(size)
    kept_count = 0
    for value in range(count):
        if sampler.wants():
            sampler.keep(value)
            kept_count += 1
    return sampler.kept, kept_count


@pytest.mark.parametrize(("size", "count"), [(0, 10), (3, 0), (3, 2), (3, 3), (3, 10_000)])
def test_no_more_are_kept_than_asked_for_and_none_twice(size: int, count: int) -> None:
    kept, kept_count = sampled(size, count)
    assert len(kept) == len(set(kept)) == min(size, count)
    assert kept_count <= 200


def test_every_part_of_what_is_offered_is_as_likely() -> None:
    kept, _ = sampled(1_000, 10_000)
    tenths = Counter(value // 1_000 for value in kept)
    assert set(tenths) == set(range(10))
    assert all(60 <= count <= 140 for count in tenths.values())


def test_the_same_is_kept_when_it_is_done_again() -> None:
    assert sampled(5, 1_000) == sampled(5, 1_000)


def test_sets_share_their_room_and_say_when_it_was_too_small() -> None:
    room = Room(3)
    one, other = Distinct(room), Distinct(room)
    assert [one.add(text) for text in ("a", "b", "a")] == [True, True, False]
    assert other.add("a")
    assert not other.add("b")
    assert (len(one), len(other)) == (2, 1)
    assert (one.is_cut, other.is_cut) == (False, True)
