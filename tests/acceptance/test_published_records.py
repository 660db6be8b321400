"""Records that others published arrive to the character and the digit, through real processes."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.lives import (
    Life,
    assert_history_holds,
    assert_records_hold,
    assert_shown,
    captures,
    connected,
    send,
)
from tests.published import Record, records, stage_history
from tests.published_files import (
    CSV_FILES,
    DATA,
    HISTORY_FILE,
    JSON_FILES,
    SCHEMAS,
    STRINGS_FILE,
)
from tests.published_schema import Kind, field_of
from tests.salesforce import ORG_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.processes import PenstockProcesses

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published records are not beside this project (../shared/data)"
)

# What the data set says of itself.
COUNTS: Final = {
    "SFDC-Assets-data-cloud-workshop": (22, 102, 0, 60, 50, 75),
    "SFDO-CumulusCI": (1, 0, 0, 0, 0, 0),
    "SalesforceFoundation-EDA": (62, 19, 0, 0, 0, 0),
    "earthfink1982-salesforce-in-powerbi": (18, 25, 0, 22, 36, 0),
    "forcedotcom-dataloader": (117, 0, 0, 0, 0, 1),
    "mike4aday-SwiftlySalesforce": (1, 0, 0, 0, 0, 0),
    "mshanemc-groceryDemo": (0, 1, 3, 0, 0, 2),
    "salesforcecli-plugin-data": (10_016, 6, 0, 0, 1, 2),
    "trailheadapps-apex-recipes": (100, 300, 0, 0, 100, 0),
    "trailheadapps-easy-spaces-lwc": (12, 12, 0, 11, 0, 0),
    "trailheadapps-ebikes-lwc": (3, 0, 0, 0, 0, 0),
    "trailheadapps-functions-recipes": (1, 0, 0, 0, 0, 0),
}
REFERRING_FOLDERS: Final = (
    "salesforcecli-plugin-data",
    "trailheadapps-apex-recipes",
    "trailheadapps-easy-spaces-lwc",
)
OBJECTS: Final = ("Account", "Contact", "Event", "Lead", "Opportunity", "Task")


def text_of(fields: Mapping[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()


def with_values(fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with other values; None clears a field."""
    return {key: value for key, value in {**fields, **values}.items() if value is not None}


def borrowed(record: Record, other: Record, turn: int) -> list[dict[str, Any]]:
    """Return the record with one of the other's values, and then with all of them."""
    own = {"attributes", "Id"}
    names = [
        name
        for name in dict.fromkeys((*record.fields, *other.fields))
        if name not in own and record.fields.get(name) != other.fields.get(name)
    ]
    values = {name: other.fields.get(name) for name in names}
    one = names[turn % len(names)]
    few = with_values(record.fields, {one: values[one]})
    return [few, with_values(few, values)] if len(names) > 1 else [few]


def published_lives() -> list[Life]:
    """Every record: its history if it has one, as published, then with its neighbour's values."""
    history = stage_history()
    lives = []
    for sobject in OBJECTS:
        ring = [record for record in records() if record.sobject == sobject]
        for place, record in enumerate(ring):
            states = [
                *(with_values(record.fields, step) for step in history.get(record.id, ())),
                record.fields,
                *borrowed(record, ring[(place + 1) % len(ring)], place),
            ]
            lives.append(Life(sobject, record.id, tuple(map(text_of, states))))
    return lives


def test_every_published_file_is_read_or_is_known_to_hold_no_records() -> None:
    known = {*CSV_FILES, *JSON_FILES, *SCHEMAS, HISTORY_FILE, STRINGS_FILE}
    found = {
        str(path.relative_to(DATA)) for form in ("csv", "json") for path in DATA.rglob(f"*.{form}")
    }
    assert known == found


def test_every_published_record_is_read_once() -> None:
    read = Counter((record.path.partition("/")[0], record.sobject) for record in records())
    for folder, counts in COUNTS.items():
        assert tuple(read[folder, sobject] for sobject in OBJECTS) == counts, folder
    assert read.total() == sum(map(sum, COUNTS.values()))
    assert len({record.id for record in records()}) == len(records())
    assert sum(map(len, stage_history().values())) == 48
    assert stage_history().keys() < {record.id for record in records()}


def test_a_reference_leads_to_the_published_record_unless_nobody_published_it() -> None:
    ids = {record.id for record in records()}
    references = {
        (record.path, record.fields[name])
        for record in records()
        for name in ("AccountId", "ParentId", "WhatId")
        if record.path.startswith(REFERRING_FOLDERS) and name in record.fields
    }
    written = sum(
        len(set(re.findall(r'"@\w+"', (DATA / path).read_text())))
        for path in (*CSV_FILES, *JSON_FILES)
    )
    assert len(references) == written + 1  # an account holds its contacts and so is referred to
    assert {path for path, reference in references if reference not in ids} == {
        "salesforcecli-plugin-data/commonChild_Task.json",  # a case
        "salesforcecli-plugin-data/junction_Contact.json",  # whose accounts stayed unpublished
    }


def test_every_published_value_has_the_type_that_a_schema_gives_its_field() -> None:
    expected = {Kind.NUMBER: msgspec.Raw, Kind.BOOLEAN: bool, Kind.COMPOUND: dict}
    found = {
        (kind, type(value))
        for record in records()
        for name, value in record.fields.items()
        if value is not None and (kind := field_of(record.sobject, name).kind) in expected
    }
    assert found == set(expected.items())


async def test_every_published_record_arrives_to_the_character_and_the_digit(
    penstock: PenstockProcesses,
) -> None:
    lives = published_lives()
    assert all(life.states[-2] != life.states[-1] for life in lives)
    org = await connected(penstock)
    sent = list(captures(lives))
    assert sum(len(capture.steps) for capture in sent) == sum(len(life.states) for life in lives)
    await send(org, sent)

    await assert_history_holds(penstock, sent)
    await assert_records_hold(penstock, lives)
    for sobject in OBJECTS:
        widest = max(
            (life for life in lives if life.sobject == sobject),
            key=lambda life: len(life.states[-1]),
        )
        await assert_shown(penstock, ORG_ID, widest)
