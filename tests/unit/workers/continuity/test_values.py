"""Values that are written in different ways and are the same."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.continuity.values import differences, normal

if TYPE_CHECKING:
    from pipeline.change import Value

SCALARS = st.none() | st.booleans() | st.integers() | st.decimals() | st.text()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:00Z"),
        ("2026-05-01T12:00:00.999Z", "2026-05-01T14:00:00.000+0200"),
        (Decimal("1.0"), 1),
        (Decimal("753000.00"), Decimal("7.53e5")),
        (None, ""),
        ("0055g00000AbCdE", "0055g00000AbCdEAAV"),
    ],
)
def test_two_ways_to_write_a_value_are_one(one: Value, other: Value) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hot", "hot"),
        ("1", 1),
        (True, 1),
        (False, None),
        (0, None),
        ("2026-05-01T12:00:00Z", "2026-05-01T12:00:01Z"),
        ("2026-05-01", "2026-05-01T00:00:00Z"),
        ("0055g00000AbCdE", "0055g00000aBcDe"),
    ],
)
def test_other_values_are_others(one: Value, other: Value) -> None:
    assert normal(one) != normal(other)


@given(SCALARS)
def test_a_value_is_itself(value: Value) -> None:
    assert normal(value) == normal(value)
    assert differences({"F": value}, {"F": value}, lambda _: True) == {}


@given(st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(3000, 1, 1)))  # noqa: DTZ001
def test_datetimes_count_to_the_second(moment: datetime) -> None:
    text = moment.replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    whole = moment.replace(microsecond=0).isoformat() + "Z"
    assert normal(text.replace("+00:00", "+0000")) == normal(whole)


def test_what_is_absent_on_either_side_is_null() -> None:
    found = differences({"A": 1, "B": None}, {"C": 2}, lambda _: True)
    assert found == {"A": (1, None), "C": (None, 2)}


def test_fields_that_do_not_count_and_compound_values_are_left_out() -> None:
    stored: dict[str, Any] = {"A": 1, "B": 1, "Address": {"city": "Ulm"}}
    assert differences(stored, {"A": 2, "B": 2}, "B".__eq__) == {"B": (1, 2)}
    assert differences(stored, {"Address": None}, "Address".__eq__) == {}
