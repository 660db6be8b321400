from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.commands.explain_lines import delivery, standing

if TYPE_CHECKING:
    from ops.enrollments import State
    from ops.explanation import Delivery


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("pending", "will enter sequence 'x' (the target was not told yet)"),
        ("active", "is in sequence 'x'"),
        ("failed", "was to enter sequence 'x' (but the target refused)"),
        ("exited", "is no longer in sequence 'x', and entered it"),
        ("finished", "has finished sequence 'x', and entered it"),
    ],
)
def test_only_who_is_in_a_sequence_is_said_to_be(state: State, told: str) -> None:
    assert standing(state, "x") == told


@pytest.mark.parametrize(
    ("state", "attempts", "told"),
    [
        ("open", 0, "not delivered yet, 0 attempts"),
        ("open", 1, "not delivered yet, 1 attempt"),
        ("delivered", 1, "delivered after 1 attempt"),
        ("delivered", 2, "delivered after 2 attempts"),
        ("failed", 1, "delivery failed after 1 attempt"),
        ("superseded", 0, "delivery superseded after 0 attempts"),
    ],
)
def test_attempts_are_counted_in_words_that_fit(state: Delivery, attempts: int, told: str) -> None:
    assert delivery(state, attempts) == told
