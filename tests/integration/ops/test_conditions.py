"""What Salesforce is told to send: what active rules read, what an admin adds, no unknown field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import conditions, orgs, rule_store
from ops.errors import OpsError, WrongUsage
from ops.needed_loads import NeededLoad
from pipeline.objects import SObject
from pipeline.requests import Cause
from tests.changes import OTHER_ORG_ID
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

ACCOUNT, LEAD, OPPORTUNITY = SObject.ACCOUNT, SObject.LEAD, SObject.OPPORTUNITY
RULE = """\
rule: demo-tasks
object: Task
on: [insert, update]
when: [{field: What.StageName, equals: Demo}]
then: [{webhook: "https://example.com/", fields: {id: Id}}]
"""


def describe(sobject: SObject, *fields: str) -> tuple[str, bytes]:
    document = {
        "name": sobject.value,
        "fields": [{"name": name, "type": "string"} for name in fields],
    }
    return f"{sobject}.json", msgspec.json.encode(document)


async def watched(connection: Connection) -> dict[str, list[str]]:
    read = await connection.fetchval("SELECT conditions FROM org")
    decoded: dict[str, list[str]] = msgspec.json.decode(read)
    return decoded


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def test_an_admin_adds_fields_and_takes_them_back(connection: Connection) -> None:
    added = await conditions.watch(connection, ORG_ID, ["lead.Rating", "Lead.Score__c", "User.Id"])
    assert added.fields == ["Lead.Rating", "Lead.Score__c", "User.Id"]
    await rule_store.apply(connection, ORG_ID, [("rules.yaml", RULE)])
    assert await watched(connection) == {
        "Account": ["StageName"],
        "Lead": ["Rating", "Score__c"],
        "Opportunity": ["StageName"],
        "Task": ["WhatId"],
        "User": ["Id"],
    }
    (listed,) = await orgs.listing(connection)
    assert listed.watched == {"Lead": ["Rating", "Score__c"], "User": ["Id"]}

    left = await conditions.unwatch(connection, ORG_ID, ["Lead.rating", "User.Id"])
    assert left.fields == ["Lead.Score__c"]
    assert await watched(connection) == {
        "Account": ["StageName"],
        "Lead": ["Score__c"],
        "Opportunity": ["StageName"],
        "Task": ["WhatId"],
    }
    with pytest.raises(OpsError, match=r"Lead.Score was not added.*did you mean 'Lead.Score__c'"):
        await conditions.unwatch(connection, ORG_ID, ["Lead.Score"])


async def test_a_field_that_an_admin_adds_is_loaded_and_one_taken_back_stops_no_load(
    connection: Connection,
) -> None:
    await rule_store.apply(connection, ORG_ID, [("rules.yaml", RULE)])
    await connection.execute("UPDATE org SET secret = 'in use', connected_at = now()")
    added = await conditions.watch(connection, ORG_ID, ["Lead.Rating", "Account.Name"])
    assert added.loads == [
        NeededLoad(ACCOUNT, Cause.WATCHED, ["Name"]),
        NeededLoad(LEAD, Cause.SYNCED, []),
    ]
    assert (await conditions.unwatch(connection, ORG_ID, ["Lead.Rating"])).loads == []
    opened = await connection.fetch("SELECT object, cause FROM request WHERE state = 'open'")
    assert [tuple(row) for row in opened] == [("Account", "watched"), ("Lead", "synced")]


async def test_an_org_whose_rules_cannot_be_read_keeps_no_other_from_being_refreshed(
    connection: Connection,
) -> None:
    await orgs.add(connection, OTHER_ORG_ID, SYNC_USER_ID)
    written = "SELECT conditions FROM org ORDER BY org_id"
    for org_id in (ORG_ID, OTHER_ORG_ID):
        await rule_store.apply(connection, org_id, [("rules.yaml", RULE)])
    before = await connection.fetch(written)
    await connection.execute(
        "UPDATE rule SET source = replace(source, 'equals', 'resembles') WHERE org_id = $1",
        min(ORG_ID, OTHER_ORG_ID),
    )
    await connection.execute("UPDATE org SET conditions = '{}'")
    with pytest.raises(OpsError, match=r"rules of these orgs.*\n  org .*demo-tasks.*resembles"):
        await conditions.refresh_all(connection)
    assert await connection.fetch(written) == [("{}",), before[1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Leed.Rating", "unknown object 'Leed'; did you mean 'Lead'"),
        ("Case.Status", "unknown object 'Case'; known are Account"),
        ("Lead", "'Lead' names no field"),
        ("Lead.Owner.Name", "'Lead.Owner.Name' names no field"),
        ("Account.Raiting", "Account has no field 'Raiting'; did you mean 'Rating'"),
    ],
)
async def test_what_is_no_field_is_not_watched(
    connection: Connection, text: str, message: str
) -> None:
    await conditions.describe(connection, ORG_ID, [describe(ACCOUNT, "Rating")])
    with pytest.raises(WrongUsage, match=message):
        await conditions.watch(connection, ORG_ID, [text])


async def test_a_field_is_not_watched_where_the_org_says_that_there_is_none(
    connection: Connection,
) -> None:
    await rule_store.apply(connection, ORG_ID, [("rules.yaml", RULE)])
    described = [describe(OPPORTUNITY, "StageName"), describe(ACCOUNT, "Industry")]
    kept = await conditions.describe(connection, ORG_ID, described)
    assert [(one.object, one.field_count) for one in kept] == [("Account", 1), ("Opportunity", 1)]
    assert await watched(connection) == {"Opportunity": ["StageName"], "Task": ["WhatId"]}
    assert (await orgs.listing(connection))[0].described == ["Account", "Opportunity"]


async def test_a_file_that_describes_no_object_of_ours_keeps_nothing(
    connection: Connection,
) -> None:
    case = b'{"name": "Case", "fields": []}'
    with pytest.raises(OpsError, match=r"b\.json describes 'Case', which Penstock does not carry"):
        await conditions.describe(connection, ORG_ID, [describe(LEAD, "Id"), ("b.json", case)])
    with pytest.raises(OpsError, match=r"b\.json is no description of an object"):
        await conditions.describe(connection, ORG_ID, [describe(LEAD, "Id"), ("b.json", b"[}")])
    with pytest.raises(OpsError, match=r"Lead.json describes Lead, which was described before"):
        await conditions.describe(connection, ORG_ID, [describe(LEAD, "Id")] * 2)
    assert (await orgs.listing(connection))[0].described == []


def test_an_object_that_is_watched_whole_stays_so_whatever_is_added() -> None:
    together = conditions.union(
        {LEAD: [], ACCOUNT: ["Name"]}, {LEAD: ["Rating"], ACCOUNT: ["name"]}
    )
    assert together == {LEAD: [], ACCOUNT: ["Name"]}
