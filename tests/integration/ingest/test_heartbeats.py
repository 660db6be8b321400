"""Heartbeats are kept, and answered with what the org is asked for, as the database has it now."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pipeline.objects import SObject
from pipeline.requests import Cause, StartedBy, ask_for_loads, begin_audit, withdraw_loads
from tests.changes import OTHER_ORG_ID
from tests.integration.ingest.outage import database_away
from tests.unit.ingest.edge import ORG_ID, Edge
from tests.unit.ingest.test_heartbeats import document

if TYPE_CHECKING:
    from pipeline.database import Pool

LEAD_ID = "00Q5g00000HotLdEAJ"
OTHER_ID = "00Q5g00000NewLdEAJ"
INSERT_RESENDS = """
    INSERT INTO request (org_id, kind, object, record_ids, cause)
    SELECT $1, 'resend', 'Lead', ARRAY[$2], 'audit' FROM generate_series(1, $3)
    RETURNING request_id"""
STATES = "SELECT request_id, state FROM request ORDER BY request_id"


async def beat(edge: Edge, **keys: Any) -> list[dict[str, Any]]:
    """Return what the answer asks for."""
    status, answer = await edge.post(json.dumps(document(**keys)).encode(), "heartbeat")
    assert (status, answer["conditions_version"]) == (200, 7)
    asked: list[dict[str, Any]] = answer["requests"]
    return asked


async def load(pool: Pool, *objects: SObject, org_id: str = ORG_ID) -> list[int]:
    """Ask for loads; return the ids of the org's requests."""
    async with pool.acquire() as connection:
        await ask_for_loads(connection, org_id, objects, Cause.COMMAND)
    rows = await pool.fetch("SELECT request_id FROM request WHERE org_id = $1 ORDER BY 1", org_id)
    return [row["request_id"] for row in rows]


async def test_a_heartbeat_is_kept_and_the_next_one_takes_its_place(pool: Pool) -> None:
    edge = Edge(pool=pool)
    now = time.time_ns() // 1_000_000
    await beat(edge, clock=now - 60_000, parked=3)
    told = {"parked": 1, "overflow": 2, "async_used": 4, "async_limit": 5, "api_version": "66.0"}
    assert await beat(edge, clock=now + 90_000, conditions_version=6, **told) == []

    (row,) = await pool.fetch("SELECT *, now() - beat_at < interval '1 min' AS new FROM heartbeat")
    assert (row["org_id"], row["new"], row["heard_at"]) == (ORG_ID, True, row["beat_at"])
    assert row["clock_skew_ms"] == pytest.approx(90_000, abs=5000)
    assert (row["package_version"], row["api_version"]) == ("0.1.0", "66.0")
    assert (row["parked_count"], row["overflow_count"]) == (1, 2)
    assert (row["async_used_count"], row["async_limit_count"]) == (4, 5)
    assert row["conditions_version"] == 6


async def test_its_answer_tells_how_far_each_request_came(pool: Pool) -> None:
    edge = Edge(pool=pool)
    async with pool.acquire() as connection:
        await ask_for_loads(connection, ORG_ID, [SObject.LEAD], Cause.COMMAND, since=1000)
        await begin_audit(connection, ORG_ID, [SObject.LEAD], StartedBy.COMMAND)
    first, second = await beat(edge)
    assert first == {**first, "kind": "load", "object": "Lead", "since": 1000, "after": None}
    assert second == {"id": second["id"], "kind": "audit", "object": "Lead", "after": None}

    # Nobody is told of a cursor, and the answer has it all the same.
    await pool.execute("UPDATE request SET cursor = $1", LEAD_ID)
    assert [one["after"] for one in await beat(edge)] == [LEAD_ID, LEAD_ID]
    assert msgspec.json.decode(edge.requests.of(ORG_ID)[0])["after"] == LEAD_ID


async def test_what_is_acknowledged_is_never_asked_for_again(pool: Pool) -> None:
    edge = Edge(pool=pool)
    first, second = await load(pool, SObject.LEAD, SObject.ACCOUNT)

    assert [one["id"] for one in await beat(edge)] == [first, second]
    assert [one["id"] for one in await beat(edge, acknowledged=[first, first, 999])] == [second]
    assert [one["id"] for one in await beat(edge)] == [second]
    settled = await pool.fetch("SELECT request_id FROM request WHERE settled_at IS NOT NULL")
    assert [row["request_id"] for row in settled] == [first]

    async with pool.acquire() as connection:
        await withdraw_loads(connection, ORG_ID, SObject)
    assert await beat(edge, acknowledged=[second]) == []
    assert [tuple(row) for row in await pool.fetch(STATES)] == [
        (first, "done"),
        (second, "withdrawn"),
    ]


async def test_no_org_sees_or_acknowledges_what_another_is_asked_for(pool: Pool) -> None:
    edge = Edge(pool=pool)
    others = await load(pool, SObject.LEAD, org_id=OTHER_ORG_ID)

    assert await beat(edge, acknowledged=others) == []
    assert [tuple(row) for row in await pool.fetch(STATES)] == [(others[0], "open")]
    async with pool.acquire() as connection:
        await edge.requests.read(connection)
    assert edge.requests.of(ORG_ID) == []
    assert len(edge.requests.of(OTHER_ORG_ID)) == 1


async def test_an_answer_has_ten_requests_at_most_and_resends_first(pool: Pool) -> None:
    edge = Edge(pool=pool)
    loads = await load(pool, *SObject)
    rows = await pool.fetch(INSERT_RESENDS, ORG_ID, LEAD_ID, 6)
    resends = [row["request_id"] for row in rows]

    asked = await beat(edge)
    assert [one["id"] for one in asked] == [*resends, *loads[:4]]
    assert asked[0] == {"id": resends[0], "kind": "resend", "object": "Lead", "ids": [LEAD_ID]}
    # What is held in memory is the same.
    async with pool.acquire() as connection:
        await edge.requests.read(connection)
    assert [msgspec.json.decode(one)["id"] for one in edge.requests.of(ORG_ID)] == [
        *resends,
        *loads[:4],
    ]
    # The others come once these are done.
    assert [one["id"] for one in await beat(edge, acknowledged=resends)] == loads


async def test_while_the_database_is_away_it_is_a_503_with_a_time_and_nothing_is_lost(
    pool: Pool, database_url: str
) -> None:
    edge = Edge(pool=pool)
    (request_id,) = await load(pool, SObject.LEAD)
    await beat(edge)
    async with database_away(database_url):
        body = json.dumps(document(acknowledged=[request_id])).encode()
        status, answer = await edge.post(body, "heartbeat")
        assert (status, bool(answer["retry"])) == (503, True)
        assert len(edge.requests.of(ORG_ID)) == 1

    assert len(await beat(edge)) == 1
    assert await beat(edge, acknowledged=[request_id]) == []
