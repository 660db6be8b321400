"""What is known of fields comes from descriptions, and else from the newest records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import field_types, orgs
from pipeline.objects import SObject
from rules.checks.catalog import Field, FieldType, Kind
from tests.changes import record_ids
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

_KEEP = """
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    VALUES ($1, $2, $3, 1, 0, 'c', false, $4::jsonb)"""


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def test_fields_are_learnt_from_the_newest_records(connection: Connection) -> None:
    ids = record_ids("00Q")
    old = [(ORG_ID, next(ids), "Lead", '{"Old__c": 1}') for _ in range(3)]
    new = [
        (ORG_ID, next(ids), "Lead", '{"Worth": 1.50, "Note": "\\u001ad83d"}')
        for _ in range(field_types.SAMPLE_RECORD_COUNT)
    ]
    task = (ORG_ID, next(record_ids("00T")), "Task", '{"IsClosed": true}')
    await connection.executemany(_KEEP, [*old, *new, task])
    found = await field_types.catalog(connection, ORG_ID, [SObject.LEAD, SObject.TASK])
    lead = found.of(SObject.LEAD)
    assert {field.name for field in lead.fields} == {"Worth", "Note"}
    assert not lead.described
    worth = found.field(SObject.LEAD, "worth")
    assert worth is not None
    assert worth.kinds == {Kind.NUMBER}
    assert found.knows(SObject.TASK, "IsClosed") is True
    assert found.knows(SObject.TASK, "Subject") is None
    assert not found.of(SObject.ACCOUNT)


async def test_a_description_goes_before_what_records_prove(connection: Connection) -> None:
    await connection.execute(_KEEP, ORG_ID, next(record_ids("00Q")), "Lead", '{"Gone__c": 1}')
    field = Field(
        "Rating",
        type=FieldType.PICKLIST,
        kinds=frozenset({Kind.CHOICE}),
        values=("Hot", "Cold\x00"),
        restricted=True,
        relationship=None,
    )
    await field_types.write(connection, ORG_ID, {SObject.LEAD: (field,)})
    found = await field_types.catalog(connection, ORG_ID, [SObject.LEAD])
    assert found.field(SObject.LEAD, "RATING") == field
    assert found.knows(SObject.LEAD, "Gone__c") is False

    again = msgspec.structs.replace(field, values=("Hot",))
    await field_types.write(connection, ORG_ID, {SObject.LEAD: (again,)})
    assert (await field_types.described(connection, ORG_ID)).field(SObject.LEAD, "Rating") == again
