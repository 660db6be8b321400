from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.objects import SObject
from rules.checks.catalog import ANY_KIND, FieldType, Kind
from rules.checks.describe import DescribeError, read_describes
from tests.published_files import DATA, SCHEMAS

if TYPE_CHECKING:
    from rules.checks.catalog import Field

RATING = {
    "name": "Rating",
    "type": "picklist",
    "picklistValues": [
        {"value": "Hot", "active": True, "label": "Hot"},
        {"value": "Gone", "active": False},
    ],
    "restrictedPicklist": True,
    "nillable": True,
}


def describe(*fields: dict[str, Any], name: str = "Lead") -> dict[str, Any]:
    return {"name": name, "label": "Lead", "fields": list(fields)}


def read(document: object) -> dict[SObject, dict[str, Field]]:
    described = read_describes(json.dumps(document).encode())
    return {one.object: {field.name: field for field in one.fields} for one in described}


def test_a_picklist_has_its_active_values() -> None:
    field = read(describe(RATING))[SObject.LEAD]["Rating"]
    assert (field.type, field.kinds) == (FieldType.PICKLIST, frozenset({Kind.CHOICE}))
    assert (field.values, field.restricted) == (("Hot",), True)


def test_suggestions_for_a_free_text_are_no_values_that_it_must_have() -> None:
    subject = {**RATING, "name": "Subject", "type": "combobox"}
    assert read(describe(subject))[SObject.LEAD]["Subject"].values == ()


def test_a_type_of_a_later_salesforce_may_hold_anything() -> None:
    field = read(describe({"name": "X__c", "type": "hologram"}))[SObject.LEAD]["X__c"]
    assert (field.type, field.kinds) == (FieldType.ANY_TYPE, ANY_KIND)


@pytest.mark.parametrize(
    "document",
    [
        [describe(RATING), describe(name="Account")],
        [{"status": 0, "result": describe(RATING)}, describe(name="Account")],
    ],
)
def test_a_file_may_hold_several_and_what_the_sf_command_prints(document: object) -> None:
    assert read(document).keys() == {SObject.LEAD, SObject.ACCOUNT}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is no description of an object: "),
        (b'{"name": "Lead"}', "is no description of an object: .*`fields`"),
        (b'"Lead"', "is no description of an object: "),
        (b"\xff", "is no description of an object: "),
        (b"[" * 5000, "is no description of an object: "),
        (b'{"name": "Leed", "fields": []}', "describes 'Leed', .*; did you mean 'Lead'"),
        (b'{"name": "Case", "fields": []}', "describes 'Case', .*; it carries Account, Contact"),
    ],
)
def test_anything_else_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(DescribeError, match=message):
        read_describes(text)


@pytest.mark.skipif(
    not DATA.is_dir(), reason="the published records are not beside this project (../shared/data)"
)
@pytest.mark.parametrize("path", [path for path, holds in SCHEMAS.items() if holds == "a DESCRIBE"])
def test_published_descriptions_are_read_whole(path: str) -> None:
    text = (DATA / path).read_bytes()
    (described,) = read_describes(text)
    given = json.loads(text)["fields"]
    assert [field.name for field in described.fields] == [field["name"] for field in given]
    assert [field.type for field in described.fields] == [field["type"] for field in given]
    for field, source in zip(described.fields, given, strict=True):
        assert list(field.refers_to) == source["referenceTo"]
        assert (field.relationship, field.calculated, field.nillable) == (
            source["relationshipName"],
            source["calculated"],
            source["nillable"],
        )
