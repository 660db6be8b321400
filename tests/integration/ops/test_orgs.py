"""Registering orgs, and saying which one is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import orgs
from ops.errors import OpsError, WrongUsage
from tests.changes import OTHER_ORG_ID
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from pipeline.database import Connection


async def test_an_org_is_found_by_either_form_of_its_id(connection: Connection) -> None:
    with pytest.raises(OpsError, match="no org is registered yet"):
        await orgs.resolve(connection, None)
    code = await orgs.add(connection, ORG_ID[:15], SYNC_USER_ID[:15])
    assert code.org_id == ORG_ID
    for named in (None, ORG_ID, ORG_ID[:15]):
        assert await orgs.resolve(connection, named) == ORG_ID

    await orgs.add(connection, OTHER_ORG_ID, SYNC_USER_ID)
    with pytest.raises(WrongUsage, match="2 orgs are registered"):
        await orgs.resolve(connection, None)
    with pytest.raises(OpsError, match="is not registered"):
        await orgs.resolve(connection, "nonsense")
    listed = await orgs.listing(connection)
    assert [(one.org_id, one.state) for one in listed] == sorted(
        [(ORG_ID, "not connected"), (OTHER_ORG_ID, "not connected")]
    )


async def test_a_connect_code_is_listed_while_it_is_open(connection: Connection) -> None:
    async def listed() -> tuple[bool, str | None]:
        (org,) = await orgs.listing(connection)
        return org.connected, org.connect_code_expires_at

    await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    await connection.execute("UPDATE org SET connect_code_expires_at = '2100-01-02T03:04:05.678Z'")
    assert await listed() == (False, "2100-01-02T03:04:05.678Z")
    await connection.execute("UPDATE org SET connect_code_expires_at = now()")
    assert await listed() == (False, None)


@pytest.mark.parametrize(
    ("org_id", "user_id"),
    [("00D", SYNC_USER_ID), (SYNC_USER_ID, SYNC_USER_ID), (ORG_ID, ORG_ID), (ORG_ID, "005!")],
)
async def test_what_is_no_id_is_refused(connection: Connection, org_id: str, user_id: str) -> None:
    with pytest.raises(WrongUsage, match="is not the id of"):
        await orgs.add(connection, org_id, user_id)


async def test_a_code_is_good_for_a_day_and_an_org_in_use_keeps_its_secret(
    connection: Connection,
) -> None:
    first = await orgs.add(connection, ORG_ID, SYNC_USER_ID)
    await connection.execute(
        "UPDATE org SET secret = 'in use', connected_at = now(), connect_code = NULL"
    )
    second = await orgs.rotate(connection, ORG_ID)
    assert first.connect_code != second.connect_code
    row = await connection.fetchrow(
        "SELECT secret, connect_code, next_secret,"
        " round(extract(epoch FROM connect_code_expires_at - now()) / 3600)::integer FROM org"
    )
    assert row is not None
    assert tuple(row) == ("in use", second.connect_code, None, 24)

    await orgs.set_paused(connection, ORG_ID, paused=True)
    (paused,) = await orgs.listing(connection)
    assert (paused.state, paused.connected) == ("paused", True)
    await orgs.set_paused(connection, ORG_ID, paused=False)
    assert (await orgs.listing(connection))[0].state == "connected"
    with pytest.raises(OpsError, match="is not registered"):
        await orgs.rotate(connection, OTHER_ORG_ID)
