"""What `penstock audit schedule` understands by a period."""

from __future__ import annotations

import click
import pytest

from ops.commands.audit import Period


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("7d", 7), ("2w", 14), ("off", 0)])
def test_a_period_is_a_number_of_days(text: str, days: int) -> None:
    assert Period().convert(text, None, None) == days


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "367d", "53w", "1h", "weekly"])
def test_whatever_else_is_no_period(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 7d or 2w"):
        Period().convert(text, None, None)
