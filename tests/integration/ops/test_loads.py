"""Loads as an operator starts, watches and withdraws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import loads, orgs
from ops.errors import OpsError
from ops.loads import LoadState
from pipeline.objects import SObject
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection

ACCOUNT, LEAD, TASK = SObject.ACCOUNT, SObject.LEAD, SObject.TASK


@pytest.fixture(autouse=True)
async def org(connection: Connection) -> None:
    await orgs.add(connection, ORG_ID, SYNC_USER_ID)


async def test_what_rules_need_is_loaded_and_everything_while_they_need_nothing(
    connection: Connection,
) -> None:
    assert set(await loads.synced(connection, ORG_ID)) == set(SObject)
    await connection.execute("""UPDATE org SET conditions = '{"Task": [], "Account": ["Name"]}'""")
    started = await loads.start(connection, ORG_ID, [], None)
    assert started.begun == [ACCOUNT, TASK]
    again = await loads.start(connection, ORG_ID, [TASK, LEAD], None)
    assert again.begun == [LEAD]
    assert [(one.object, one.state) for one in again.loads] == [
        (LEAD, LoadState.WAITING),
        (TASK, LoadState.WAITING),
    ]


async def test_how_far_a_load_is_and_how_long_it_takes_is_told(connection: Connection) -> None:
    await loads.start(connection, ORG_ID, [LEAD], 1_795_430_400_123)
    await connection.execute(
        "UPDATE request SET sent_count = 3000, total_count = 12000,"
        " began_at = '2026-11-23T15:00:00Z', heard_at = '2026-11-23T15:01:00Z'"
    )
    (running,) = await loads.listing(connection, ORG_ID)
    assert (running.state, running.since) == (LoadState.RUNNING, "2026-11-23T10:40:00.123Z")
    assert (running.records_per_s, running.left_s) == (50.0, 180.0)
    assert (running.began_at, running.heard_at) == (
        "2026-11-23T15:00:00.000Z",
        "2026-11-23T15:01:00.000Z",
    )
    # Records that were created meanwhile come on top.
    await connection.execute("UPDATE request SET sent_count = 12100")
    assert (await loads.listing(connection, ORG_ID))[0].left_s == 0
    await connection.execute("UPDATE request SET state = 'done', settled_at = heard_at")
    (done,) = await loads.listing(connection, ORG_ID)
    assert (done.state, done.left_s) == (LoadState.DONE, None)


async def test_a_withdrawn_load_is_listed_until_there_is_a_newer_one(
    connection: Connection,
) -> None:
    await loads.start(connection, ORG_ID, [TASK, LEAD], None)
    with pytest.raises(OpsError, match="no load of Account is under way"):
        await loads.cancel(connection, ORG_ID, [ACCOUNT])
    assert await loads.cancel(connection, ORG_ID, []) == [LEAD, TASK]
    with pytest.raises(OpsError, match="no load is under way"):
        await loads.cancel(connection, ORG_ID, [])
    await loads.start(connection, ORG_ID, [LEAD], None)
    listed = await loads.listing(connection, ORG_ID)
    assert [(one.object, one.state) for one in listed] == [
        (LEAD, LoadState.WAITING),
        (TASK, LoadState.WITHDRAWN),
    ]
