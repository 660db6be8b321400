"""Enrolments as they are listed, and the release of those that are held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops import enrollments
from ops.enrollments import Held
from ops.errors import OpsError, WrongUsage
from tests.changes import OTHER_ORG_ID
from tests.outbox_rows import add, leave, standing, told, treat
from tests.salesforce import ORG_ID
from workers.relay import outbox

if TYPE_CHECKING:
    from pipeline.database import Connection, Pool

FIRE = """
    WITH fired AS (
        INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version, object,
                            captured_at, sequence, capture_id, evidence)
        SELECT org_id, 't' || enrollment_id, '00Q1', 'hot', 1, 'Lead', 1, 0, 'c', '[]'
        FROM enrollment RETURNING firing_id, transaction_id)
    UPDATE enrollment SET firing_id = fired.firing_id FROM fired
    WHERE fired.transaction_id = 't' || enrollment_id"""
HELD = "SELECT count(*) FROM outbox WHERE state = 'held'"


async def test_a_listing_says_how_each_stands_and_why(connection: Connection, pool: Pool) -> None:
    await add(pool, "held@x.org", state="held")
    (left,) = await add(pool, "left@x.org")
    await add(pool, "paused@x.org", sequence="paused")
    await add(pool, "capped@x.org", "fine@x.org", sequence="capped")
    await treat(pool, sequence="paused", paused=True)
    await treat(pool, sequence="capped", daily_cap=1)
    claims = {one.recipient: one for one in await outbox.claim(pool, limit=9, lease_s=60)}
    await outbox.delivered(pool, claims["left@x.org"])
    await outbox.settle(pool, [outbox.refusal(claims["capped@x.org"], "no")])
    await leave(pool, left)
    await pool.execute(FIRE)

    rows = await enrollments.listing(connection, org_id=ORG_ID, sequence=None, limit=9)
    assert [(row.recipient, row.state, row.reason, row.delivery) for row in rows] == [
        ("held@x.org", "held", None, "held"),
        ("left@x.org", "exited", "exited: rule r", "delivered"),
        ("paused@x.org", "pending", "waits: the sequence is paused", "open"),
        ("capped@x.org", "failed", "no", "failed"),
        ("fine@x.org", "pending", "waits: the daily cap is reached", "open"),
    ]
    assert [row.due_at is not None for row in rows] == [False, False, True, False, True]
    pending = await enrollments.listing(
        connection, org_id=None, sequence="capped", state="pending", limit=9
    )
    assert [row.recipient for row in pending] == ["fine@x.org"]


async def test_who_is_released_goes_to_the_target(connection: Connection, pool: Pool) -> None:
    await add(pool, "a@x.org", "b@x.org", state="held")
    await add(pool, "c@x.org", state="held", sequence="other")
    await add(pool, "d@x.org", state="held", org_id=OTHER_ORG_ID)
    tried = await enrollments.release(connection, Held(rule="rule"), dry_run=True)
    assert (tried.released, tried.dry_run) == (4, True)
    assert await pool.fetchval(HELD) == 4
    assert await outbox.claim(pool, limit=9, lease_s=60) == []

    own = Held(org_id=ORG_ID, sequence="nurture")
    assert (await enrollments.release(connection, own, dry_run=False)).released == 2
    assert (await enrollments.release(connection, own, dry_run=False)).released == 0
    assert (await standing(pool))[:3] == [
        ("a@x.org", "pending", None),
        ("b@x.org", "pending", None),
        ("c@x.org", "held", None),
    ]
    claims = await outbox.claim(pool, limit=9, lease_s=60)
    assert [one.recipient for one in claims] == ["a@x.org", "b@x.org"]
    assert (await enrollments.release(connection, Held(rule="else"), dry_run=False)).released == 0
    assert await pool.fetchval("SELECT count(*) FROM rule_hour") == 0


async def test_ids_are_released_all_or_none(connection: Connection, pool: Pool) -> None:
    a, b = await add(pool, "a@x.org", "b@x.org", state="held")
    with pytest.raises(OpsError, match=rf"^not held: {b + 1} "):
        await enrollments.release(connection, Held(ids=(a, b + 1)), dry_run=False)
    assert await pool.fetchval(HELD) == 2
    assert (await enrollments.release(connection, Held(ids=(b,)), dry_run=False)).released == 1
    assert await told(pool) == [("a@x.org", "held"), ("b@x.org", "open")]


async def test_one_that_exited_while_it_was_held_is_told_to_nobody(
    connection: Connection, pool: Pool
) -> None:
    (gone,) = await add(pool, "a@x.org", state="held")
    await leave(pool, gone)
    await enrollments.release(connection, Held(ids=(gone,)), dry_run=False)
    for _ in range(2):
        claims = await outbox.claim(pool, limit=9, lease_s=60)
        assert all(one.is_superseded for one in claims)
        await outbox.superseded(pool, *claims)
    assert {state for _, state in await told(pool)} == {"superseded"}
    assert await standing(pool) == [("a@x.org", "exited", "exited: rule r")]


async def test_nothing_is_released_unasked(connection: Connection) -> None:
    with pytest.raises(WrongUsage, match="say which"):
        await enrollments.release(connection, Held(), dry_run=False)
