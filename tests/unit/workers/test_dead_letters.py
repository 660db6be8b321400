from __future__ import annotations

import pytest

from pipeline.errors import PermanentError, Reason
from tests.changes import OTHER_ORG_ID, inserted, lead, received
from tests.salesforce import ORG_ID
from workers.dead_letters import DeadLetter, Streak, TooManyDeadLetters


def letters(count: int, *org_ids: str) -> list[DeadLetter]:
    error = PermanentError(Reason.INVALID_RECORD, "no good")
    return [
        DeadLetter.of(received(inserted(lead(), org_id=org_ids[index % len(org_ids)]))[0], error)
        for index in range(count)
    ]


def commit(streak: Streak, dead: list[DeadLetter], *, change_count: int | None = None) -> None:
    count = len(dead) if change_count is None else change_count
    streak.check(dead, change_count=count)
    streak.count(dead, change_count=count)


def test_the_reason_is_the_errors_own() -> None:
    (change,) = received(inserted(lead()))

    own = DeadLetter.of(change, PermanentError(Reason.CRASHED_WORKER, "why"))
    assert (own.reason, own.error) == (Reason.CRASHED_WORKER, "why")
    assert DeadLetter.of(change, ValueError("why")).reason is Reason.REFUSED_BY_DATABASE


def test_an_error_is_text_that_a_column_takes() -> None:
    (change,) = received(inserted(lead()))
    dead = DeadLetter.of(change, ValueError("\x00 \ud83d " + "x" * 5000))

    assert dead.error.startswith("\\u0000 \\ud83d xxx")
    dead.error.encode()
    assert len(dead.error) < 2100


def test_too_many_in_a_row_from_several_orgs_stop_the_consumer() -> None:
    streak = Streak()
    for _ in range(2):
        commit(streak, letters(Streak.LIMIT // 2, ORG_ID, OTHER_ORG_ID))

    with pytest.raises(TooManyDeadLetters, match="201 changes in a row of 2 orgs"):
        streak.check(letters(1, ORG_ID), change_count=1)


def test_one_orgs_dead_letters_alone_never_stop_it() -> None:
    streak = Streak()
    for _ in range(5):
        commit(streak, letters(Streak.LIMIT, ORG_ID))


def test_a_change_that_succeeds_ends_the_streak() -> None:
    streak = Streak()
    commit(streak, letters(Streak.LIMIT, ORG_ID, OTHER_ORG_ID))
    commit(streak, letters(3, ORG_ID), change_count=4)
    commit(streak, letters(Streak.LIMIT, ORG_ID, OTHER_ORG_ID))


def test_a_batch_without_changes_does_not_end_the_streak() -> None:
    streak = Streak()
    commit(streak, letters(Streak.LIMIT, ORG_ID, OTHER_ORG_ID))
    commit(streak, [])

    with pytest.raises(TooManyDeadLetters):
        streak.check(letters(1, ORG_ID), change_count=1)


def test_a_batch_whose_commit_failed_is_not_counted() -> None:
    streak = Streak()
    dead = letters(Streak.LIMIT, ORG_ID, OTHER_ORG_ID)
    for _ in range(10):
        streak.check(dead, change_count=len(dead))
