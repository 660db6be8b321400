from __future__ import annotations

import operator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline.objects import long_id
from rules.values import (
    equal_to,
    including,
    is_null,
    members_of,
    number_of,
    on_text,
    ordered_against,
    rise,
    same,
)

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.model import Scalar

SHORT = "00Q5g00000HotLd"
LONG = long_id(SHORT)


@pytest.mark.parametrize(
    ("value", "operand", "verdict"),
    [
        ("hot", "HOT", True),
        ("Straße", "STRASSE", True),
        ("hot ", "hot", False),
        (None, "hot", False),
        ("", "hot", False),
        ("94105", 94105, True),
        ("094105", 94105, False),
        (1000, "1000", True),
        (Decimal("1.00"), Decimal("1.0"), True),
        (1, Decimal("1.0"), True),
        (1, "one", False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (False, "FALSE", True),
        (True, "yes", False),
        ("true", True, True),
        (SHORT, LONG, True),
        (LONG, SHORT, True),
        (LONG, LONG.lower(), True),
        (SHORT.lower(), LONG, False),
        (LONG, SHORT.lower(), False),
        ("2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:00.000Z", True),
        ("2026-05-01T12:00:00.000+0000", "2026-05-01T14:00:00+02:00", True),
        ("2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:01Z", False),
        ("2026-05-01", "2026-05-01T00:00:00Z", False),
        (Decimal("1E+999999"), 1, False),
        (Decimal("NaN"), "NaN", False),
        (Decimal("sNaN"), 1, False),
        ("NaN", "nan", True),
        (["hot"], "hot", False),
        ({"hot": "hot"}, "hot", False),
        ("\ud800", "hot", False),
    ],
)
def test_equality_takes_the_type_of_the_record(
    value: Value, operand: Scalar, *, verdict: bool
) -> None:
    assert equal_to((operand,))(value) is verdict


def test_a_value_equals_one_of_several_of_any_type() -> None:
    within = equal_to(("Hot", 7, True))
    assert [within(value) for value in ("hot", 7, True, "cold", 8, False, None)] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "operand", "verdict"),
    [
        (1500000, 1000000, True),
        (Decimal("1E+999999"), 1000000, True),
        (1500000, "1000000", True),
        ("1500000", 1000000, True),
        ("900", 1000, False),
        ("900", "1000", True),
        ("many", 1000, False),
        ("b", "A", True),
        ("A", "b", False),
        (None, -1, False),
        ("", "a", False),
        (True, 0, False),
        ([2], 1, False),
        (Decimal("NaN"), 1, False),
        (2, "1 or so", False),
    ],
)
def test_order_takes_the_type_of_the_record_and_never_holds_for_null(
    value: Value, operand: Scalar, *, verdict: bool
) -> None:
    assert ordered_against(operand, operator.gt)(value) is verdict


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("hot", "Hot", False),
        (None, "", True),
        (None, None, True),
        (None, 0, False),
        (None, False, False),
        (1, Decimal("1.00"), True),
        (1, True, False),
        (1, "1", False),
        ("2026-05-01T12:00:00.000+0000", "2026-05-01T12:00:00.000Z", True),
        ([1, {"a": None}], [Decimal(1), {}], True),
        ([1], [1, 2], False),
        ({"a": "x"}, {"a": "X"}, False),
        ({}, None, False),
        (Decimal("sNaN"), Decimal("sNaN"), False),
    ],
)
def test_sameness_is_exact_for_text_and_by_value_for_the_rest(
    old: Value, new: Value, *, verdict: bool
) -> None:
    assert same(old, new) is verdict
    assert same(new, old) is verdict


def test_values_nested_to_any_depth_compare() -> None:
    one: Value = "leaf"
    other: Value = "leaf"
    for _ in range(100_000):
        one, other = [one], [other]
    assert same(one, other)


def test_a_number_longer_than_python_prints_compares() -> None:
    assert ordered_against(1, operator.gt)(10**5000)
    assert not equal_to((1, "1"))(10**5000)
    assert same(10**5000, Decimal(10**5000))
    assert rise(10**5000, Decimal(10**5000) * 2) == 1


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+1400", "9999-12-31T23:59:59-1200"])
def test_instants_at_the_edges_of_the_calendar_are_the_same(edge: str) -> None:
    assert same(edge, edge)
    assert rise(edge, edge) == 0


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1,000", "", "1e999999999999999999999", "٣"])
def test_text_that_spells_no_finite_number_is_none(text: str) -> None:
    assert number_of(text) is None


def test_blanks_are_not_null() -> None:
    assert not is_null(" ")
    assert not is_null(0)
    assert not is_null(value=False)


def test_a_long_text_that_is_almost_a_number_is_told_at_once() -> None:
    # As long as a long text area; trying each way to split its digits would take minutes.
    almost = "1" * 131_071 + "x"
    assert number_of(almost) is None
    assert not ordered_against(1, operator.ge)(almost)


@pytest.mark.parametrize("value", [None, "", 7, True, ["part"], {"part": "part"}, "\ud800"])
def test_what_is_no_text_has_no_part(value: Value) -> None:
    assert not on_text("part", operator.contains)(value)
    assert not on_text("part", str.startswith)(value)


def test_members_lose_their_case_their_blanks_and_their_empty_neighbours() -> None:
    assert members_of(" A ;;b; ") == {"a", "b"}
    assert members_of(";") == frozenset()


def test_an_operand_without_members_is_included_in_nothing() -> None:
    assert not including((";",))("A;B")
    assert not including((";", " "))("")


@pytest.mark.parametrize(
    ("old", "new", "direction"),
    [
        (Decimal("1E+999999"), 1, -1),
        (Decimal("NaN"), 1, 0),
        (1, Decimal("Infinity"), 0),
        (Decimal("sNaN"), Decimal("sNaN"), 0),
        ("\ud800", "2026-05-01", 0),
        ("2026-02-29", "2026-03-01", 0),
        ([1], [2], 0),
        ({}, None, 0),
    ],
)
def test_only_what_has_an_order_rises(old: Value, new: Value, direction: int) -> None:
    assert rise(old, new) == direction
    assert rise(new, old) == -direction
