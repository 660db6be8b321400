"""One load of an object is open at a time, and brings all that was asked for; one audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from ops import orgs
from pipeline.objects import SObject
from pipeline.requests import (
    AuditOpenError,
    Cause,
    StartedBy,
    ask_for_loads,
    begin_audit,
    withdraw_audit,
    withdraw_loads,
)
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection

ACCOUNT, EVENT, LEAD = SObject.ACCOUNT, SObject.EVENT, SObject.LEAD


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(database_url)
    await orgs.add(opened, ORG_ID, SYNC_USER_ID)
    yield opened
    await opened.close()


async def requests(connection: Connection) -> list[tuple[object, ...]]:
    rows = await connection.fetch(
        "SELECT kind, object, cause, state, since FROM request ORDER BY request_id"
    )
    return [tuple(row) for row in rows]


async def test_a_load_that_is_open_is_left_as_it_is_while_it_brings_what_is_wanted(
    connection: Connection,
) -> None:
    begun = await ask_for_loads(connection, ORG_ID, [EVENT, LEAD, LEAD], Cause.COMMAND)
    assert begun == [LEAD, EVENT]
    await connection.execute("UPDATE request SET cursor = '00Q', sent_count = 7")
    assert await ask_for_loads(connection, ORG_ID, [LEAD], Cause.COMMAND) == []
    assert await ask_for_loads(connection, ORG_ID, [LEAD], Cause.CONNECTED, since=5) == []
    assert await ask_for_loads(connection, ORG_ID, [], Cause.COMMAND) == []
    assert await requests(connection) == [
        ("load", "Lead", "command", "open", None),
        ("load", "Event", "command", "open", None),
    ]

    assert await withdraw_loads(connection, ORG_ID, [LEAD, ACCOUNT]) == [LEAD]
    assert await ask_for_loads(connection, ORG_ID, [LEAD], Cause.COMMAND) == [LEAD]


async def test_what_is_newly_watched_is_loaded_from_the_beginning_under_a_new_id(
    connection: Connection,
) -> None:
    await ask_for_loads(connection, ORG_ID, [LEAD], Cause.CONNECTED)
    await connection.execute("UPDATE request SET cursor = '00Q', sent_count = 7")
    assert await ask_for_loads(connection, ORG_ID, [LEAD], Cause.WATCHED) == [LEAD]
    assert await requests(connection) == [
        ("load", "Lead", "connected", "withdrawn", None),
        ("load", "Lead", "watched", "open", None),
    ]
    row = await connection.fetchrow("SELECT cursor, sent_count FROM request WHERE state = 'open'")
    assert row is not None
    assert tuple(row) == ("", 0)


async def test_a_load_that_goes_back_less_far_makes_way_for_one_that_goes_back_to_both(
    connection: Connection,
) -> None:
    for since in (200, 300, 100, None, 400):
        await ask_for_loads(connection, ORG_ID, [LEAD], Cause.COMMAND, since)
    loads = await requests(connection)
    assert [(state, since) for *_, state, since in loads] == [
        ("withdrawn", 200),
        ("withdrawn", 100),
        ("open", None),
    ]


async def test_an_org_has_one_audit_at_a_time(connection: Connection) -> None:
    audit_id = await begin_audit(connection, ORG_ID, [LEAD, ACCOUNT], StartedBy.COMMAND)
    with pytest.raises(AuditOpenError):
        await begin_audit(connection, ORG_ID, [EVENT], StartedBy.SCHEDULE)
    asked = [
        ("audit", "Account", "audit", "open", None),
        ("audit", "Lead", "audit", "open", None),
    ]
    assert await requests(connection) == asked
    assert await connection.fetchval("SELECT array_agg(object) FROM audit_object") == [
        "Account",
        "Lead",
    ]
    await withdraw_audit(connection, ORG_ID, audit_id)
    assert {state for *_, state, _ in await requests(connection)} == {"withdrawn"}
