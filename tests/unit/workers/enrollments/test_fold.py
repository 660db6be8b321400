from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from rules import ReEnroll
from workers.enrollments import Event, Folded, fold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

events = st.lists(
    st.builds(
        Event,
        captured_at=st.integers(0, 3),
        sequence=st.integers(0, 1),
        capture_id=st.sampled_from("ab"),
        rule=st.sampled_from("rs"),
        action=st.integers(0, 1),
        record_id=st.sampled_from("xyz"),
        firing_id=st.integers(1, 50),
        re_enroll=st.sampled_from(ReEnroll),
        variables=st.just("{}"),
    ),
    max_size=8,
    # A firing is one change of one record by one rule, and has each action once.
    unique_by=lambda event: event[:6],
)


def add(captured_at: int, re_enroll: ReEnroll = ReEnroll.NEVER, **parts: object) -> Event:
    event = Event(captured_at, 0, "a", "r", 0, "x", captured_at, re_enroll, "{}")
    return event._replace(**parts)  # type: ignore[arg-type]  # any field of the event


def test_without_events_there_is_no_enrolment() -> None:
    assert fold([]) is None


def test_the_first_add_enrols_and_later_ones_change_nothing() -> None:
    assert fold([add(2), add(1), add(3, ReEnroll.AFTER_EXIT)]) == Folded(add(1), 1)


def test_an_add_that_always_re_enrols_counts_each_time() -> None:
    last = add(3, ReEnroll.ALWAYS)
    assert fold([last, add(1), add(2, ReEnroll.ALWAYS)]) == Folded(last, 3)


def test_what_ties_in_time_is_decided_by_record_and_not_by_arrival() -> None:
    first, second = add(1, record_id="x", firing_id=9), add(1, record_id="y", firing_id=1)
    assert fold([second, first]) == Folded(first, 1)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(given_: list[Event], random: Random) -> None:
    shuffled = list(given_)
    random.shuffle(shuffled)
    assert fold(shuffled) == fold(given_)


@given(events, st.randoms(use_true_random=False))
def test_ids_given_by_arrival_do_not_matter(given_: list[Event], random: Random) -> None:
    ids = list(range(len(given_)))
    random.shuffle(ids)
    renumbered = [event._replace(firing_id=new) for event, new in zip(given_, ids, strict=True)]
    assert _decided(fold(renumbered)) == _decided(fold(given_))


@given(events)
def test_folding_again_says_the_same(given_: list[Event]) -> None:
    assert fold(given_) == fold(sorted(given_))


@given(events)
def test_every_re_enrolment_but_the_first_add_counts_once(given_: list[Event]) -> None:
    folded = fold(given_)
    later: Sequence[Event] = sorted(given_)[1:]
    expected = sum(event.re_enroll is ReEnroll.ALWAYS for event in later) + 1
    assert (folded.generation if folded else 1) == expected


def _decided(folded: Folded | None) -> tuple[object, ...] | None:
    return folded and (*folded.event._replace(firing_id=0), folded.generation)
