"""The sample rules ship with the package, one well-formed document each."""

from __future__ import annotations

import pytest

from ops.sample.rules import sample_rules
from rules import parse_rules

RULES = sample_rules()


def test_there_are_rules_and_they_come_sorted() -> None:
    names = [name for name, _ in RULES]
    assert len(names) >= 3
    assert names == sorted(set(names))


@pytest.mark.parametrize(("name", "text"), RULES, ids=[name for name, _ in RULES])
def test_a_file_holds_the_one_rule_that_it_is_named_for(name: str, text: str) -> None:
    (rule,) = parse_rules(text, name)
    assert rule.name == name
