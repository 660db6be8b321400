from __future__ import annotations

from typing import Final

from tests.autoscaling.verdict import Kept, differences

ACCEPTED: Final = {"a": range(20), "b": range(20, 21)}
COUNTS: Final = {
    "records": 21,
    "firings": 3,
    "fired": 3,
    "enrollments": 3,
    "outbox": 3,
    "dead_letters": 0,
}
WHOLE: Final = Kept({"a": (20, 20), "b": (1, 1)}, COUNTS)


def test_finds_nothing_where_everything_is_there_once() -> None:
    assert differences(WHOLE, ACCEPTED) == []


def test_sees_what_is_lost_strange_in_part_or_twice() -> None:
    for captures, told in (
        ({"a": (20, 20)}, "1 captures lost, b first"),
        ({**WHOLE.captures, "c": (1, 1)}, "1 captures not accepted and there, c first"),
        ({**WHOLE.captures, "a": (19, 19)}, "1 captures there in part, or more than once, a first"),
        ({**WHOLE.captures, "b": (2, 1)}, "1 captures there in part, or more than once, b first"),
    ):
        assert differences(Kept(captures, COUNTS), ACCEPTED) == [told]


def test_sees_effects_that_are_missing_or_doubled() -> None:
    doubled = COUNTS | {"firings": 4, "dead_letters": 1}
    assert differences(Kept(WHOLE.captures, doubled), ACCEPTED) == [
        "4 firings instead of 3",
        "1 dead_letters instead of 0",
    ]
