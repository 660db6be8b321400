"""What orgs are asked for is in memory within a moment, and is gone as soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ingest.registry import Registry
from ingest.requests import Requests
from pipeline.database import following
from pipeline.objects import SObject
from pipeline.requests import (
    Cause,
    StartedBy,
    ask_for_loads,
    begin_audit,
    withdraw_audit,
    withdraw_loads,
)
from pipeline.settings import Secret
from tests.changes import OTHER_ORG_ID
from tests.salesforce import ORG_ID
from tests.servers import until

if TYPE_CHECKING:
    from pipeline.database import Pool

USERS_LOAD = "SELECT request_id FROM request WHERE object = 'User'"
# Well before memory would be read again by itself.
TOLD_WITHIN_S = following.REFRESH_S / 3


async def test_memory_follows_what_is_asked_for_and_what_is_withdrawn(
    pool: Pool, database_url: str
) -> None:
    requests = Requests()
    registry = Registry(Secret(database_url), {"penstock_request": requests.read})
    stop = asyncio.Event()
    running = asyncio.create_task(registry.run(stop))

    def asked() -> list[tuple[str, str]]:
        found = (msgspec.json.decode(one) for one in requests.of(ORG_ID))
        return [(one["kind"], one["object"]) for one in found]

    try:
        await until(lambda: not registry.stale)
        assert asked() == []
        async with pool.acquire() as connection:
            await ask_for_loads(connection, ORG_ID, [SObject.LEAD, SObject.USER], Cause.COMMAND)
            await until(lambda: asked() == [("load", "User"), ("load", "Lead")], TOLD_WITHIN_S)
            audit_id = await begin_audit(connection, ORG_ID, [SObject.TASK], StartedBy.COMMAND)
            await until(lambda: asked()[2:] == [("audit", "Task")], TOLD_WITHIN_S)
            await withdraw_loads(connection, ORG_ID, [SObject.USER])
            await until(lambda: ("load", "User") not in asked(), TOLD_WITHIN_S)
            users_load = await pool.fetchval(USERS_LOAD)
            assert requests.is_withdrawn(ORG_ID, users_load)
            assert not requests.is_withdrawn(OTHER_ORG_ID, users_load)
            await withdraw_audit(connection, ORG_ID, audit_id)
            await until(lambda: asked() == [("load", "Lead")], TOLD_WITHIN_S)
            # Another process of ingest was told that it is done.
            await Requests().acknowledge(
                connection, ORG_ID, [msgspec.json.decode(requests.of(ORG_ID)[0])["id"]]
            )
            await until(lambda: asked() == [], TOLD_WITHIN_S)
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await running
