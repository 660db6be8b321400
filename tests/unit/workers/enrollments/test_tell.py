from __future__ import annotations

from rules import ReEnroll
from workers.enrollments.fold import Added, Counted, Exited, Folded, Removed, fold
from workers.enrollments.tell import difference, idempotency_key

KEY = ("00D5g000004XyzAEAS", "nurture", "ana@example.com")
ADD = Added(1, 0, "a", "r", 0, "x", 1, ReEnroll.ALWAYS, 1000)


def adds(*times: int) -> list[Added]:
    return [ADD._replace(captured_at=at) for at in times]


def exit_(at: int) -> Removed:
    return Removed(at, 0, "a", "won", 0, "x")


def told(before: Folded, after: Folded) -> list[tuple[str, int]]:
    steps = difference(before.standing, after)
    return [("add" if isinstance(one, Counted) else "exit", one.generation) for one in steps]


def test_a_generation_has_one_key_for_ever() -> None:
    # Targets remember keys: another way to make them would deliver everything again.
    key = "enr_85561c2bcf3627a91a776106a5814fa5b8bd3523"
    assert idempotency_key(KEY, Counted(1, ADD)) == key
    assert idempotency_key(KEY, Exited(1, "won")) == key + "_exit"


def test_each_generation_and_each_recipient_has_a_key_of_its_own() -> None:
    others = [(*KEY[:2], "bo@example.com"), (KEY[0], "welcome", KEY[2]), ("other", *KEY[1:])]
    keys = {idempotency_key(KEY, Counted(generation, ADD)) for generation in (1, 2)}
    keys |= {idempotency_key(key, Counted(1, ADD)) for key in others}
    assert len(keys) == 5


def test_all_that_happened_is_told_to_who_knows_of_nothing() -> None:
    everything = fold([*adds(1, 3), exit_(2), exit_(4)])
    assert told(fold([]), everything) == [("add", 1), ("exit", 1), ("add", 2), ("exit", 2)]


def test_what_is_known_is_not_told_again() -> None:
    known = fold([*adds(1), exit_(2)])
    assert told(known, known) == []
    assert told(known, fold([*adds(1, 3), exit_(2)])) == [("add", 2)]


def test_an_exit_before_adds_that_are_known_is_not_told() -> None:
    assert told(fold(adds(1, 3)), fold([*adds(1, 3), exit_(2)])) == []


def test_an_exit_that_was_taken_back_is_followed_by_its_add_again() -> None:
    assert told(fold([*adds(1), exit_(2)]), fold(adds(1))) == [("add", 1)]


def test_an_exit_at_a_generation_before_the_one_that_is_known_is_told_if_it_is_the_last() -> None:
    assert told(fold(adds(1, 2)), fold([*adds(1), exit_(3)])) == [("exit", 1)]


def test_who_is_known_and_was_never_added_exits() -> None:
    assert told(fold(adds(1)), fold([])) == [("exit", 1)]
    assert told(fold([*adds(1, 3), exit_(2)]), fold([*adds(1), exit_(2)])) == [("exit", 2)]
    assert told(fold([*adds(1), exit_(2)]), fold([])) == []
