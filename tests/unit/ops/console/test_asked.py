"""What a request asks for is read strictly."""

from __future__ import annotations

import pytest

from ops.console import asked
from ops.errors import WrongUsage
from ops.gaps import GapState


def test_an_empty_field_is_one_that_was_left_out() -> None:
    given = {"text": "  ", "number": "", "choice": " "}
    assert asked.text(given, "text") is None
    assert asked.number(given, "number") is None
    assert asked.choice(given, "choice", GapState) is None
    assert asked.text({}, "text") is None


def test_what_is_given_is_read() -> None:
    given = {"text": " a b ", "number": "42", "choice": "filled"}
    assert asked.text(given, "text") == "a b"
    assert asked.number(given, "number") == 42
    assert asked.choice(given, "choice", GapState) is GapState.FILLED


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "٣", str(2**63), "9" * 400])
def test_what_no_row_could_be_numbered_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match="before"):
        asked.number({"before": text}, "before")


def test_a_choice_says_what_there_is() -> None:
    with pytest.raises(WrongUsage, match="suspected, filled, confirmed, failed"):
        asked.choice({"state": "lost"}, "state", GapState)


@pytest.mark.parametrize("text", ["x" * 501, "a\0b"])
def test_text_that_nothing_could_match_is_refused(text: str) -> None:
    with pytest.raises(WrongUsage, match="record"):
        asked.text({"record": text}, "record")
