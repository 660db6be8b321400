"""Rules are applied all or none, every version is kept, and the org's conditions follow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import msgspec
import pytest

from ops import orgs, rule_store
from ops.errors import OpsError
from rules import RuleError
from tests.changes import QUALIFIED_RULE
from tests.salesforce import ORG_ID, RULE, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

OPEN_RULE = QUALIFIED_RULE.replace("Qualified}", "Open}")


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def apply(connection: Connection, *texts: str) -> list[tuple[str, int, str]]:
    named = [(f"{number}.yaml", text) for number, text in enumerate(texts)]
    applied = await rule_store.apply(connection, ORG_ID, named)
    return [(one.rule, one.version, one.outcome) for one in applied]


async def conditions(connection: Connection) -> tuple[dict[str, list[str]], int]:
    row = await connection.fetchrow("SELECT conditions, conditions_version FROM org")
    assert row is not None
    return msgspec.json.decode(row["conditions"]), row["conditions_version"]


async def test_each_change_of_a_rule_is_a_version_and_one_is_active(connection: Connection) -> None:
    name = "qualified-to-nurture"
    assert await apply(connection, QUALIFIED_RULE) == [(name, 1, "added")]
    assert await apply(connection, QUALIFIED_RULE) == [(name, 1, "unchanged")]
    assert await apply(connection, OPEN_RULE, RULE) == [
        (name, 2, "changed"),
        ("hot-leads-to-nurture", 1, "added"),
    ]
    assert await apply(connection, QUALIFIED_RULE) == [(name, 3, "changed")]

    listed = await rule_store.listing(connection, None)
    assert [(row.rule, row.version, row.state) for row in listed] == [
        ("hot-leads-to-nurture", 1, "active"),
        (name, 3, "active"),
    ]
    assert (await rule_store.show(connection, ORG_ID, name, 2)).source == OPEN_RULE
    with pytest.raises(OpsError, match="has no version 9 of rule"):
        await rule_store.show(connection, ORG_ID, name, 9)


async def test_a_mistake_anywhere_applies_nothing(connection: Connection) -> None:
    with pytest.raises(RuleError, match=r"1\.yaml"):
        await apply(connection, QUALIFIED_RULE, RULE.replace("equals", "resembles"))
    with pytest.raises(OpsError, match=r"a rule 'qualified-to-nurture': 0\.yaml and 2\.yaml"):
        await apply(connection, QUALIFIED_RULE, RULE, OPEN_RULE)
    assert await rule_store.listing(connection, None) == []


async def test_the_conditions_are_what_the_active_rules_read(connection: Connection) -> None:
    _, first = await conditions(connection)
    await apply(connection, QUALIFIED_RULE)
    assert await conditions(connection) == ({"Lead": ["Email", "Status"]}, first + 1)
    # What reads the same is no news to Apex.
    await apply(connection, OPEN_RULE)
    assert (await conditions(connection))[1] == first + 1
    await apply(connection, RULE)
    read, version = await conditions(connection)
    assert read == {"Lead": ["AnnualRevenue", "Email", "Rating", "Status"]}
    assert version == first + 2


async def test_two_people_who_apply_at_once_take_turns(
    connection: Connection, database_url: str
) -> None:
    other = await asyncpg.connect(database_url)
    try:
        outcomes = await asyncio.gather(
            *(apply(one, text) for one, text in ((connection, QUALIFIED_RULE), (other, OPEN_RULE)))
        )
    finally:
        await other.close()
    assert sorted(version for ((_, version, _),) in outcomes) == [1, 2]
    assert await connection.fetchval("SELECT count(*) FROM rule WHERE state = 'active'") == 1
