from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.unit.workers.relay.claims import claim
from workers.relay.claim import Claim, Delayed, DelayedFor, RowKind, Treatment
from workers.relay.second_look import full_day, needs_no_telling


def is_superseded(one: Claim) -> bool:
    stands = one.enrollment
    assert stands is not None
    return needs_no_telling(one, stands.state, stands.generation, stands.exited_generation)


def test_an_add_that_is_over_or_was_taken_back_needs_no_telling() -> None:
    assert is_superseded(claim(state="exited", stands_at=0))
    assert is_superseded(claim(generation=2, stands_at=1))
    assert is_superseded(claim(generation=1, stands_at=2, exited_generation=1))
    assert not is_superseded(claim(state="active"))


def test_an_add_that_another_followed_without_an_exit_is_told() -> None:
    assert not is_superseded(claim(generation=1, stands_at=2))


def test_an_exit_is_told_if_the_target_took_the_add_and_it_still_stands() -> None:
    def left(**fields: Any) -> Claim:
        return claim(kind=RowKind.EXIT, was_added=True, **fields)

    assert not is_superseded(left(state="exited", exited_generation=1))
    assert not is_superseded(left(generation=1, stands_at=2, exited_generation=1))
    assert is_superseded(left(state="active", exited_generation=0))
    assert is_superseded(claim(kind=RowKind.EXIT, state="exited", exited_generation=1))


def test_an_exit_from_what_never_counted_is_told() -> None:
    taken_back = claim(kind=RowKind.EXIT, was_added=True, state="exited", stands_at=0)
    assert not is_superseded(taken_back)


def test_an_exit_that_came_between_two_generations_does_not_undo_the_second() -> None:
    def between(exited_generation: int) -> Claim:
        told: dict[str, Any] = {"kind": RowKind.EXIT, "was_added": True, "is_followed": True}
        return claim(stands_at=2, exited_generation=exited_generation, **told)

    assert is_superseded(between(exited_generation=1))
    assert not is_superseded(between(exited_generation=2))


def test_the_rows_of_a_full_day_go_on_together_after_the_orgs_midnight() -> None:
    now = datetime(2026, 3, 7, 20, 0, tzinfo=UTC)
    treatment = Treatment(daily_cap=1, time_zone="Asia/Tokyo")
    late = {full_day(claim(outbox_id=n, treatment=treatment), now) for n in range(5)}
    ((delayed_for, until),) = [late.pop()]
    assert not late
    assert delayed_for is DelayedFor.DAILY_CAP
    assert (
        datetime(2026, 3, 8, 15, 0, tzinfo=UTC) <= until < datetime(2026, 3, 8, 15, 1, tzinfo=UTC)
    )
    other = full_day(claim(sequence="welcome", treatment=treatment), now)
    assert isinstance(other, Delayed)
    assert other.until != until
