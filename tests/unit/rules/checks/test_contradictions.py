"""What can never match is found, and nothing else is."""

from __future__ import annotations

from datetime import timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.change import Change
from pipeline.objects import Operation, SObject
from rules import (
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    Not,
    Operator,
    Rule,
    compile_rule,
)
from rules.checks.contradictions import MAX_BRANCHES, always_holds, never_matches

if TYPE_CHECKING:
    from datetime import tzinfo

    from pipeline.change import Fields, Value
    from rules.model import Clause, Operand

ID = "0015g00000AbCdEAAV"


def on(field: str, operator: str, operand: Operand = True) -> Condition:  # noqa: FBT002  as in YAML
    return Condition(field, Operator(operator), operand)


IMPOSSIBLE: dict[str, tuple[Clause, ...]] = {
    "two values": (on("Status", "equals", "Hot"), on("status", "equals", "Cold")),
    "two lists": (on("Status", "in", ("A", "B")), on("Status", "in", ("C", "d"))),
    "a list and its denial": (on("S", "in", ("A", "B")), on("S", "not_in", ("b", "a", "C"))),
    "no number is both": (on("Worth", "at_least", 10), on("Worth", "less_than", 5)),
    "nothing lies between": (on("Worth", "greater_than", 5), on("Worth", "less_than", 5)),
    "outside a range": (on("Worth", "between", (1, 5)), on("Worth", "equals", Decimal("5.01"))),
    "no value and a value": (on("S", "is_empty"), on("S", "contains", "x")),
    "no value and a pattern": (on("S", "is_empty"), on("S", "matches", ".*")),
    "no value and an order": (on("S", "is_empty"), on("S", "before", "today")),
    "changed to what it is not": (on("S", "changed_to", "X"), on("S", "equals", "Y")),
    "changed from what it is": (on("S", "changed_from", "X"), on("S", "in", ("x", "X"))),
    "changed and not": (on("S", "changed_to", "X"), Not(on("S", "changed"))),
    "up and down": (on("Worth", "increased"), on("Worth", "decreased")),
    "up and empty": (on("Worth", "increased"), on("Worth", "is_empty")),
    "it and not it": (on("S", "matches", "a+"), Not(on("S", "matches", "a+"))),
    "contains and does not": (on("S", "contains", "a"), on("S", "not_contains", "a")),
    "equals what is not in it": (on("S", "equals", "abc"), on("S", "contains", "x")),
    "two beginnings": (on("S", "starts_with", "ab"), on("S", "starts_with", "AC")),
    "two ends": (on("S", "ends_with", ".de"), on("S", "ends_with", ".com")),
    "days out of order": (on("D", "after", "2026-06-01"), on("D", "before", "2026-05-01")),
    "one day": (on("D", "after", "2026-06-01"), on("D", "before", "2026-06-01")),
    "relative days": (on("D", "after", "7 days ago"), on("D", "before", "10 days ago")),
    "instants": (
        on("D", "after", "2026-06-03T00:00:00Z"),
        on("D", "before", "2026-06-01T00:00:00Z"),
    ),
    "through a lookup": (
        on("Account.Industry", "equals", "Energy"),
        on("AccountId.industry", "equals", "Media"),
    ),
    "two ids": (on("OwnerId", "equals", ID), on("OwnerId", "equals", ID[:14] + "X")),
    "each of two": (
        AnyOf((on("S", "equals", "A"), on("S", "equals", "B"))),
        Not(on("S", "in", ("A", "B"))),
    ),
    "deep": (
        AllOf((Not(AnyOf((on("S", "is_set"), on("T", "equals", "x")))),)),
        Not(Not(on("S", "equals", "A"))),
    ),
}
POSSIBLE: dict[str, tuple[Clause, ...]] = {
    "nothing asked": (),
    "one thing asked": (on("S", "equals", "A"),),
    "case does not matter": (on("S", "equals", "A"), on("S", "equals", "a")),
    "an id in two lengths": (on("OwnerId", "equals", ID), on("OwnerId", "equals", ID[:15])),
    "true is no 1": (on("S", "equals", 1), on("S", "not_equals", True)),
    "a number spelled differently": (
        on("S", "not_equals", 5),
        on("S", "at_least", 5),
        on("S", "at_most", 5),
    ),
    "one moment": (
        on("D", "at_least", "2026-06-01T12:00:00Z"),
        on("D", "at_most", "2026-06-01T14:00:00+0200"),
    ),
    "one day in some zone": (
        on("D", "equals", "2026-06-02T01:00:00Z"),
        on("D", "before", "2026-06-02"),
    ),
    "a date on one day in some zone": (
        on("D", "at_least", "2026-06-02T01:00:00Z"),
        on("D", "at_most", "2026-06-01T23:00:00Z"),
    ),
    "relative and absolute": (on("D", "after", "today"), on("D", "before", "2026-01-01")),
    "months and days": (on("D", "after", "30 days ago"), on("D", "before", "1 month ago")),
    "text and number": (on("S", "at_least", 10), on("S", "less_than", "5")),
    "case of a pattern": (on("S", "equals", "abc"), on("S", "matches", "ABC")),
    "up to a great number": (on("W", "decreased"), on("W", "equals", Decimal("1E+90"))),
    "case changed": (on("S", "changed"), on("S", "equals", "a"), Not(on("S", "changed_to", "a"))),
    "cleared": (on("S", "changed"), on("S", "is_empty")),
    "one of two": (
        AnyOf((on("S", "equals", "A"), on("S", "equals", "B"))),
        on("S", "not_equals", "A"),
    ),
}


@pytest.mark.parametrize("clauses", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_can_never_hold_is_found(clauses: tuple[Clause, ...]) -> None:
    assert never_matches(clauses) is not None


@pytest.mark.parametrize("clauses", POSSIBLE.values(), ids=POSSIBLE.keys())
def test_what_may_hold_is_left_alone(clauses: tuple[Clause, ...]) -> None:
    assert never_matches(clauses) is None


def test_the_conditions_named_are_those_that_exclude_each_other() -> None:
    hot, cold = on("S", "equals", "Hot"), on("S", "changed_to", "Cold")
    clauses = (on("T", "equals", "x"), on("S", "is_set"), hot, on("S", "not_equals", "Warm"), cold)
    assert never_matches(clauses) == (hot, cold)


@pytest.mark.parametrize(
    "group",
    [
        AnyOf((on("S", "is_set"), on("S", "is_empty"))),
        AnyOf((on("W", "at_least", 5), Not(on("w", "at_least", 5)), on("S", "is_set"))),
        AnyOf((on("S", "not_equals", "A"), on("S", "not_equals", "B"))),
        Not(AllOf((on("S", "equals", "A"), on("S", "is_empty")))),
    ],
)
def test_a_group_that_always_holds_is_found(group: Clause) -> None:
    assert always_holds(group)


def test_an_empty_number_is_neither_more_nor_less() -> None:
    assert not always_holds(AnyOf((on("W", "at_least", 5), on("W", "less_than", 5))))


def test_groups_beyond_the_bound_are_taken_to_be_possible() -> None:
    many = tuple(on("S", "equals", f"v{number}") for number in range(MAX_BRANCHES + 1))
    assert never_matches((AnyOf(many), on("S", "equals", "other"))) is None
    # What remains is still looked at.
    clauses = (AnyOf(many), on("T", "equals", "a"), on("T", "equals", "b"))
    assert never_matches(clauses) is not None


@pytest.mark.parametrize(
    ("rises", "order", "operand"),
    [
        ("increased", "less_than", "2026-05-02"),
        ("decreased", "greater_than", "2026-05-02"),
        ("increased", "less_than", "a"),
    ],
)
def test_a_value_may_move_while_it_stays_on_one_side_of_another(
    rises: str, order: str, operand: str
) -> None:
    assert never_matches((on("S", rises), on("S", order, operand))) is None


# Every pair of these is tried on a rule that is refused.
VALUES: tuple[Value, ...] = (
    None, "", "a", "A", "ab", "b", "5", " 5", "5.0", 5, Decimal("5.0"), 4, 6, Decimal("5.5"),
    True, False, "true", ID, ID[:15], "2026-04-30", "2026-05-01", "2026-05-02",
    "2026-05-01T00:00:00Z", "2026-05-01T02:00:00.000+0200", "2026-05-02T01:00:00Z", "a;b", "ß",
    {"a": 1}, [1],
)  # fmt: skip
TEXTS = st.sampled_from(["a", "A", "ab", "b", "5", "true", "2026-05-01", ID[:15]])
NUMBERS = st.sampled_from([4, 5, Decimal("5.0"), Decimal("5.5"), 6])
POINTS = st.sampled_from(
    ["2026-05-01", "2026-05-02", "2026-05-01T00:00:00Z", "2026-05-02T01:00:00Z", "today",
     "2 days ago", "1 month ago", "3 hours ago"]
)  # fmt: skip
SCALARS = TEXTS | NUMBERS | st.booleans() | st.just(ID)
FLAGS = ("is_set", "is_empty", "changed", "increased", "decreased")
EQUALITY = ("equals", "not_equals", "changed_from", "changed_to")
PARTS = ("contains", "not_contains", "starts_with", "ends_with", "matches")
ORDERS = ("greater_than", "at_least", "less_than", "at_most")
FIELDS = st.sampled_from(["S", "s"])
CONDITIONS = st.one_of(
    st.builds(on, FIELDS, st.sampled_from(FLAGS)),
    st.builds(on, FIELDS, st.sampled_from(EQUALITY), SCALARS),
    st.builds(
        on,
        FIELDS,
        st.sampled_from(("in", "not_in", "includes", "excludes")),
        st.lists(SCALARS, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(on, FIELDS, st.sampled_from(PARTS), TEXTS),
    st.builds(on, FIELDS, st.sampled_from(ORDERS), NUMBERS | POINTS | TEXTS),
    st.builds(on, FIELDS, st.sampled_from(("before", "after")), POINTS),
    st.builds(on, FIELDS, st.just("between"), st.tuples(NUMBERS, NUMBERS)),
    st.builds(on, FIELDS, st.just("between"), st.tuples(POINTS, POINTS)),
)
CLAUSES = st.recursive(
    CONDITIONS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=5,
)
MOMENTS = st.sampled_from([1_777_600_000_000, 1_777_680_000_000, 1_780_000_000_000])
ZONES = st.sampled_from([timezone(timedelta(hours=hours)) for hours in (-12, 0, 5, 14)])


@settings(max_examples=400, deadline=None)
@given(st.lists(CLAUSES, min_size=2, max_size=4).map(tuple), st.text(), MOMENTS, ZONES)
def test_a_rule_that_is_refused_as_never_matching_matches_no_record(
    clauses: tuple[Clause, ...], text: str, captured_at: int, zone: tzinfo
) -> None:
    if never_matches(clauses) is None:
        return
    action = AddToSequence("nurture", "Email")
    rule = Rule("r", SObject.LEAD, frozenset(Operation), (action,), clauses)
    compiled = compile_rule(rule, 1)
    for old, new in product((*VALUES, text), repeat=2):
        change = updated({"S": old}, {"S": new}, captured_at)
        assert compiled.match(change, by_sync_user=False, zone=zone) is None


def updated(old: Fields, new: Fields, captured_at: int) -> Change:
    return Change(
        org_id="o",
        object=SObject.LEAD,
        operation=Operation.UPDATE,
        record_id="r",
        capture_id="c",
        transaction_id="t",
        sequence=0,
        captured_at=captured_at,
        actor_id=None,
        old=old,
        new=new,
    )
