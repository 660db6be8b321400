"""Dates and times, in GMT. [apex_methods_system_datetime]"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.values import Long

if TYPE_CHECKING:
    from tests.unit.apex_runtime.conftest import Apex


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("System.currentTimeMillis()", Long(1_777_636_800_123)),
        ("System.now().getTime()", Long(1_777_636_800_123)),
        ("'' + System.today()", "2026-05-01 00:00:00"),
        ("Datetime.newInstance(2026, 5, 1, 12, 0, 0).getTime()", Long(1_777_636_800_000)),
        ("Datetime.newInstance(1777636800123L).millisecond()", 123),
        (
            "'' + Datetime.newInstance(0).addDays(1).addMinutes(2).addSeconds(3)",
            "1970-01-02 00:02:03",
        ),
        (
            "Datetime.now().formatGmt('yyyy-MM-dd\\'T\\'HH:mm:ss.SSS\\'Z\\'')",
            "2026-05-01T12:00:00.123Z",
        ),
        ("Datetime.valueOf('2026-05-01 12:00:00').getTime()", Long(1_777_636_800_000)),
        ("'' + Date.newInstance(2026, 1, 31).addMonths(1)", "2026-02-28 00:00:00"),
        ("Date.newInstance(2026, 1, 1).daysBetween(Date.newInstance(2026, 2, 1))", 31),
        ("Date.newInstance(2026, 1, 1) + 1 == Date.newInstance(2026, 1, 2)", True),
        ("'' + Time.newInstance(23, 59, 0, 5).addMinutes(2)", "00:01:00.005Z"),
        ("Date.valueOf('2026-05-01').month()", 5),
        ("Datetime.now().date() == System.today()", True),
    ],
)
def test_methods_of_moments(apex: Apex, expression: str, expected: object) -> None:
    assert apex.value(expression) == expected
