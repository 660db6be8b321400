from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.objects import SObject
from rules.checks.catalog import (
    ANY_KIND,
    Catalog,
    Field,
    FieldType,
    Kind,
    ObjectFields,
    kinds_of_type,
    kinds_of_value,
    learnt_fields,
)

if TYPE_CHECKING:
    from pipeline.change import Value

TEXTS = {Kind.TEXT, Kind.CHOICE, Kind.CHOICES, Kind.OPAQUE}
VALUES: tuple[Value, ...] = (
    True, 1, Decimal("1.5"), "Hot", "2026-05-01", "2026-05-01T12:00:00.000+0000", "10:30:00.000Z",
    "0015g00000AbCdEAAV", {"city": "Bonn"}, None, "",
)  # fmt: skip


@pytest.mark.parametrize("field_type", FieldType)
def test_every_type_is_of_a_kind(field_type: FieldType) -> None:
    kinds = kinds_of_type(field_type)
    assert kinds == ANY_KIND or len(kinds) == 1


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ((True, False), {Kind.BOOLEAN}),
        ((1, Decimal("1.5")), {Kind.NUMBER}),
        (("Hot",), TEXTS),
        # A date is a text as well, until a text shows that it is no date, and the other way round.
        (("2026-05-01",), {*TEXTS, Kind.DATE}),
        (("2026-05-01", "soon"), TEXTS),
        (("2026-05-01T12:00:00.000+0000",), {*TEXTS, Kind.DATETIME}),
        (("10:30:00.000Z",), {*TEXTS, Kind.TIME}),
        (("0015g00000AbCdEAAV", "0015g00000AbCdE"), {*TEXTS, Kind.ID}),
        (({"city": "Bonn"},), {Kind.COMPOUND}),
        # The field's type was changed meanwhile.
        ((1, "one"), ANY_KIND),
    ],
)
def test_a_fields_kinds_are_what_all_its_values_allow(
    values: tuple[Value, ...], kinds: set[Kind]
) -> None:
    learnt = learnt_fields({"F": value} for value in values).field("f")
    assert learnt is not None
    assert learnt.kinds == kinds


def test_a_field_that_was_always_empty_is_not_learnt() -> None:
    learnt = learnt_fields([{"A": None, "B": "", "attributes": {"type": "Lead"}}])
    assert not learnt


@given(st.lists(st.sampled_from(VALUES)))
def test_no_value_speaks_against_what_was_learnt_from_it(values: list[Value]) -> None:
    learnt = learnt_fields({"F": value} for value in values).field("F")
    if learnt is not None:
        assert learnt.kinds == ANY_KIND or all(
            learnt.kinds <= kinds_of_value(value) for value in values
        )


def test_an_object_that_was_described_has_no_other_fields() -> None:
    parent = Field("Parent__c", type=FieldType.REFERENCE, refers_to=("Account", "Group"))
    catalog = Catalog(
        {
            SObject.LEAD: ObjectFields([parent], described=True),
            SObject.TASK: learnt_fields([{"Subject": "Call"}]),
        }
    )
    assert catalog.knows(SObject.LEAD, "PARENT__C") is True
    assert catalog.knows(SObject.LEAD, "Subject") is False
    assert catalog.knows(SObject.TASK, "subject") is True
    assert catalog.knows(SObject.TASK, "Status") is None
    assert catalog.knows(SObject.USER, "Id") is None
    assert catalog.parents(SObject.LEAD, "Parent__c") == {SObject.ACCOUNT}
    assert catalog.parents(SObject.TASK, "WhoId") == {SObject.LEAD, SObject.CONTACT}
