from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from rules import ReEnroll
from workers.enrollments.fold import (
    NOBODY,
    Added,
    Counted,
    Ended,
    EndKind,
    Exited,
    Folded,
    Removed,
    Standing,
    fold,
    go_on,
)

if TYPE_CHECKING:
    from random import Random

    from workers.enrollments.fold import Event

NEVER, AFTER_EXIT, ALWAYS = ReEnroll.NEVER, ReEnroll.AFTER_EXIT, ReEnroll.ALWAYS
GONE = "exited: its last record was deleted"

places = {
    "captured_at": st.integers(0, 4),
    "sequence": st.integers(0, 1),
    "capture_id": st.sampled_from("ab"),
}
of_rules = {
    **places,
    "rule": st.sampled_from("rs"),
    "action": st.integers(0, 1),
    "record_id": st.sampled_from("xyz"),
}
events = st.lists(
    st.builds(
        Added,
        **of_rules,
        firing_id=st.integers(1, 50),
        re_enroll=st.sampled_from(ReEnroll),
        ceiling=st.none(),
    )
    | st.builds(Removed, **of_rules),
    max_size=10,
    # A firing is one change of one record by one rule, and has each action once.
    unique_by=lambda event: event[:6],
)
ends = st.lists(
    st.builds(
        Ended,
        **places,
        record_id=st.sampled_from("xyz"),
        kind=st.just(EndKind.DELETED),
        successor_id=st.none(),
    )
    | st.builds(
        Ended,
        **places,
        record_id=st.sampled_from("xyz"),
        kind=st.just(EndKind.MERGED),
        successor_id=st.sampled_from("wxyz"),
    ),
    max_size=6,
    unique_by=lambda end: end[:4],
)


def add(at: int, re_enroll: ReEnroll = NEVER, record_id: str = "x") -> Added:
    return Added(at, 0, "a", "r", 0, record_id, at, re_enroll, 1000)


def remove(at: int, rule: str = "won") -> Removed:
    return Removed(at, 0, "a", rule, 0, "x")


def deleted(at: int, record_id: str = "x") -> Ended:
    return Ended(at, 0, "a", record_id, EndKind.DELETED, None)


def merged(at: int, record_id: str, into: str) -> Ended:
    return Ended(at, 0, "a", record_id, EndKind.MERGED, into)


def stands(folded: Folded) -> tuple[int, int, str | None]:
    return folded.standing[:3]


def test_without_events_nobody_is_enrolled() -> None:
    assert fold([]) == Folded(Standing(), None, ())
    assert stands(fold([remove(1)], [deleted(2)])) == (0, 0, NOBODY)


def test_the_first_add_enrols_and_later_ones_change_nothing() -> None:
    folded = fold([add(2), add(1), add(3, AFTER_EXIT)])
    assert folded == Folded(Standing(1, 0, None, (3, 0, "a")), add(1), (Counted(1, add(1)),))


def test_an_add_that_always_re_enrols_counts_each_time() -> None:
    folded = fold([add(3, ALWAYS), add(1), add(2, ALWAYS)])
    assert (stands(folded), folded.decided_by) == ((3, 0, None), add(3, ALWAYS))


def test_what_ties_in_time_is_decided_by_record_and_not_by_arrival() -> None:
    first, second = add(1)._replace(firing_id=9), add(1, record_id="y")
    assert fold([second, first]).decided_by == first


def test_an_exit_ends_the_generation_and_says_by_which_rule() -> None:
    folded = fold([add(1), add(2, ALWAYS), remove(3), remove(4, "lost")])
    assert stands(folded) == (2, 2, "exited: rule won")
    assert folded.decided_by == add(2, ALWAYS)
    assert folded.steps[2:] == (Exited(2, "won"),)


def test_after_an_exit_an_add_counts_if_its_rule_says_so() -> None:
    over: list[Event] = [add(1), remove(2)]
    assert stands(fold([*over, add(3)])) == (1, 1, "exited: rule won")
    assert stands(fold([*over, add(3, AFTER_EXIT)])) == (2, 1, None)
    assert stands(fold([*over, add(3, ALWAYS)])) == (2, 1, None)


def test_an_exit_before_the_first_add_means_nothing() -> None:
    assert stands(fold([remove(1), add(2)])) == (1, 0, None)


def test_the_last_record_to_be_deleted_ends_the_enrolment() -> None:
    both = [add(1), add(2, record_id="y")]
    assert stands(fold(both, [deleted(3)])) == (1, 0, None)
    assert stands(fold(both, [deleted(3), deleted(4, "y")])) == (1, 1, GONE)
    assert fold(both, [deleted(3), deleted(4, "y")]).steps[-1] == Exited(1, None)


def test_a_deletion_before_the_add_is_of_the_past() -> None:
    assert stands(fold([add(2)], [deleted(1)])) == (1, 0, None)


def test_a_deletion_takes_nothing_away_that_it_added_itself() -> None:
    assert stands(fold([add(2)], [deleted(2)])) == (1, 0, None)
    assert stands(fold([add(1), add(2)], [deleted(2), deleted(3)])) == (1, 1, GONE)


def test_a_record_of_an_earlier_stint_does_not_keep_a_later_one() -> None:
    again: list[Event] = [add(1), remove(2), add(3, AFTER_EXIT, "y")]
    assert stands(fold(again, [deleted(4, "y")])) == (2, 2, GONE)


def test_a_winner_takes_the_place_of_the_merged_record() -> None:
    assert stands(fold([add(1)], [merged(2, "x", "w")])) == (1, 0, "merged into w")
    assert stands(fold([add(1)], [merged(2, "x", "w"), deleted(3, "w")])) == (1, 1, GONE)
    # What the winner was before does not count.
    assert stands(fold([add(2)], [deleted(1, "w"), merged(3, "x", "w")])) == (
        1,
        0,
        "merged into w",
    )


def test_two_records_merged_into_one_end_with_it() -> None:
    both = [add(1), add(2, record_id="y")]
    ends_ = [merged(3, "x", "w"), merged(4, "y", "w")]
    assert stands(fold(both, [*ends_, deleted(5, "w")])) == (1, 1, GONE)


def test_merges_in_a_circle_come_to_an_end() -> None:
    circle = [merged(2, "x", "y"), merged(3, "y", "x")]
    assert stands(fold([add(1)], circle)) == (1, 0, "merged into x")
    assert stands(fold([add(1)], [*circle, deleted(4)])) == (1, 1, GONE)


@given(events, ends, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    given_: list[Event], ended: list[Ended], random: Random
) -> None:
    shuffled, shuffled_ends = list(given_), list(ended)
    random.shuffle(shuffled)
    random.shuffle(shuffled_ends)
    assert fold(shuffled, shuffled_ends) == fold(given_, ended)


@given(events, st.integers(0, 4))
def test_going_on_from_where_a_fold_stands_is_folding_from_the_start(
    given_: list[Event], after: int
) -> None:
    early = fold([event for event in given_ if event.captured_at <= after])
    late = go_on(early.standing, [event for event in given_ if event.captured_at > after])
    whole = fold(given_)
    assert late.standing == whole.standing
    assert (late.decided_by or early.decided_by) == whole.decided_by
    assert early.steps + late.steps == whole.steps


@given(events, ends)
def test_generations_count_up_and_each_ends_at_most_once(
    given_: list[Event], ended: list[Ended]
) -> None:
    folded = fold(given_, ended)
    counted = [step.generation for step in folded.steps if isinstance(step, Counted)]
    exited = [step.generation for step in folded.steps if isinstance(step, Exited)]
    assert counted == list(range(1, folded.standing.generation + 1))
    assert exited == sorted(set(exited))
    assert folded.standing.exited_generation == max(exited, default=0)
    assert all(step.generation in counted for step in folded.steps)


@given(events, ends)
def test_who_may_never_be_added_again_has_one_generation(
    given_: list[Event], ended: list[Ended]
) -> None:
    once: list[Event] = [
        event._replace(re_enroll=NEVER) if isinstance(event, Added) else event for event in given_
    ]
    first = min((event for event in once if isinstance(event, Added)), default=None)
    folded = fold(once, ended)
    assert folded.standing.generation == (first is not None)
    assert folded.decided_by == first


@given(events, ends)
def test_ends_of_other_records_do_no_harm(given_: list[Event], ended: list[Ended]) -> None:
    others = [
        end._replace(record_id=f"other {end.record_id}", successor_id=end.successor_id and "other")
        for end in ended
    ]
    alone, beside = fold(given_), fold(given_, others)
    assert (beside.standing[:3], beside.steps) == (alone.standing[:3], alone.steps)
