from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipeline.objects import SObject
from workers.in_hand import Busy, InHand

if TYPE_CHECKING:
    import pytest

LEAD, TASK = SObject.LEAD, SObject.TASK
NOW_MS = 1_795_430_400_000


def at(monkeypatch: pytest.MonkeyPatch, moment_ms: int) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: moment_ms * 1_000_000)


def test_what_waits_is_no_older_than_the_newest_that_was_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, NOW_MS)
    hand = InHand([LEAD])
    hand.begin()
    hand.take(LEAD)
    hand.take(LEAD)
    hand.read(LEAD, NOW_MS - 900)
    # Handed over again: older than what was taken before it.
    hand.read(LEAD, NOW_MS - 5000)
    assert hand.waiting()[LEAD] == (2, NOW_MS - 900)
    hand.settle(LEAD)
    assert hand.waiting()[LEAD] == (1, NOW_MS - 900)


def test_between_a_settlement_and_the_next_hand_over_nothing_is_known_of_what_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, NOW_MS)
    hand = InHand([LEAD])
    hand.begin()
    assert hand.waiting()[LEAD] == (0, None), "nothing can have been handed over yet"
    hand.take(LEAD)
    hand.read(LEAD, NOW_MS - 3_600_000)
    at(monkeypatch, NOW_MS + 5000)
    hand.settle(LEAD)
    at(monkeypatch, NOW_MS + 5010)
    assert hand.waiting()[LEAD] == (0, NOW_MS - 3_600_000)


def test_with_nothing_in_hand_for_a_second_nothing_that_waits_is_older_than_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, NOW_MS)
    hand = InHand([LEAD])
    assert hand.waiting()[LEAD] == (0, None), "it does not consume, and cannot know"
    at(monkeypatch, NOW_MS - 1000)
    hand.begin()
    at(monkeypatch, NOW_MS)
    assert hand.waiting()[LEAD] == (0, NOW_MS)
    hand.take(LEAD)
    at(monkeypatch, NOW_MS + 1000)
    assert hand.waiting()[LEAD] == (1, NOW_MS)
    hand.end()
    assert hand.waiting()[LEAD] == (0, NOW_MS), "what it held waits in the queue again"


def test_what_is_of_no_object_that_is_consumed_counts_for_none() -> None:
    hand = InHand([LEAD])
    hand.take(TASK)
    hand.take(None)
    assert hand.waiting()[LEAD].in_hand_count == 0
    assert hand.waiting().keys() == {LEAD}


def test_each_second_with_a_batch_under_way_counts_once() -> None:
    busy = Busy()
    busy.begin(10)
    busy.begin(12)
    assert busy.end(13) == 3
    assert busy.end(17) == 4
    # Idle from 17 to 20.
    busy.begin(20)
    assert busy.end(21) == 1
