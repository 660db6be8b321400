from __future__ import annotations

import pytest

from rules.mistakes import Mistake, RuleError, near_name


def test_a_rule_error_tells_every_mistake_in_line_order() -> None:
    error = RuleError([Mistake("a.yaml", 10, "late"), Mistake("a.yaml", 2, "early")])
    assert str(error) == "a.yaml:2: early\na.yaml:10: late"


@pytest.mark.parametrize(
    ("word", "near"),
    [("equls", "; did you mean 'equals'?"), ("EQUALS", "; did you mean 'equals'?"), ("zzz", "")],
)
def test_a_near_name_is_offered_only_where_there_is_one(word: str, near: str) -> None:
    assert near_name(word, ["equals", "in"]) == near
