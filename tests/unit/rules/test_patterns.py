from __future__ import annotations

import pytest

from rules.patterns import MAX_PATTERN_CHARACTERS, PatternError, whole_match


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", r"invalid escape sequence: \1"),
        ("(?=a)a", "invalid perl operator: (?="),
        ("(?<!a)b", "invalid perl operator: (?<!"),
        ("(", "missing ): ("),
        ("a{1001}", "invalid repetition size: {1001}"),
        (r"\pL{900}", "pattern too large - compile failed"),
        ("a" * (MAX_PATTERN_CHARACTERS + 1), "longer than 1000 characters"),
    ],
)
def test_what_re2_refuses_is_refused_with_its_reason(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError) as caught:
        whole_match(pattern)
    assert str(caught.value) == reason


def test_a_pattern_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(PatternError):
        whole_match("\ud800")


def test_a_pattern_as_long_as_may_be_is_taken() -> None:
    assert whole_match("a" * MAX_PATTERN_CHARACTERS)("a" * MAX_PATTERN_CHARACTERS)


def test_a_pattern_that_ruins_other_engines_takes_a_long_text() -> None:
    matches = whole_match(r"(x+x+)+y|(\w|\d|[a-z]){1,50}@(a|a)*$")
    assert not matches("x" * 131_072)


def test_text_that_cannot_be_encoded_matches_nothing() -> None:
    assert not whole_match("(?s).*")("a\udfff")
    assert whole_match("(?s).*")("a\x00\n")
