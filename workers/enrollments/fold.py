"""An enrolment is the fold of its events in the order of their changes, not of their arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from rules import ReEnroll

if TYPE_CHECKING:
    from collections.abc import Iterable


class Event(NamedTuple):
    """One add of one recipient to one sequence. Sorts in the order in which events count."""

    captured_at: int
    sequence: int
    capture_id: str
    rule: str
    action: int
    record_id: str
    firing_id: int
    re_enroll: ReEnroll
    variables: str


class Folded(NamedTuple):
    """What the events amount to: the last add that counted, and how many did."""

    event: Event
    generation: int


def fold(events: Iterable[Event]) -> Folded | None:
    """Fold events, given in any order; None when there is none.

    The first add enrols. A later one counts only if its rule re-enrols whoever is enrolled.
    """
    folded: Folded | None = None
    for event in sorted(events):
        if folded is None:
            folded = Folded(event, 1)
        elif _counts_again(event.re_enroll):
            folded = Folded(event, folded.generation + 1)
    return folded


def _counts_again(re_enroll: ReEnroll) -> bool:
    match re_enroll:
        case ReEnroll.ALWAYS:
            return True
        # A recipient who never exited is still enrolled.
        case ReEnroll.NEVER | ReEnroll.AFTER_EXIT:
            return False
        case _:
            assert_never(re_enroll)
