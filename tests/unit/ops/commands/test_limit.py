from __future__ import annotations

from typing import TYPE_CHECKING

from ops.commands import limit as limits

if TYPE_CHECKING:
    import pytest


def test_rows_that_are_left_out_are_spoken_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert limits.first([1, 2], 2) == [1, 2]
    assert limits.last([1, 2], 2) == [1, 2]
    assert capsys.readouterr() == ("", "")
    assert limits.first([1, 2, 3], 2) == [1, 2]
    assert limits.last([1, 2, 3], 2) == [2, 3]
    assert capsys.readouterr() == ("", "more rows exist: --limit\n" * 2)


def test_one_more_row_is_read_as_far_as_the_database_counts() -> None:
    assert limits.one_more(2) == 3
    assert limits.one_more(2**63 - 1) == 2**63 - 1
