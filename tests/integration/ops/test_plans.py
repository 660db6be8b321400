"""What the console's pages list is found by an index, however much there is of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

from ops import enrollments, rule_activity
from tests.salesforce import ORG_ID, SYNC_USER_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.database import Connection

FILL: Final = """
    WITH fired AS (
        INSERT INTO firing (org_id, transaction_id, record_id, rule, rule_version, object,
                            captured_at, sequence, capture_id, evidence, fired_at)
        SELECT $1, n, n, 'rule-' || n % 100, 1, 'Lead', n, 0, n, '[]',
               now() - n * interval '1 minute'
        FROM generate_series(1, 30000) AS n RETURNING firing_id, record_id)
    INSERT INTO enrollment (org_id, sequence, recipient, state, generation, firing_id)
    SELECT CASE WHEN firing_id % 100 = 0 THEN $1 ELSE 'other' END, 'nurture', record_id, 'active',
           1, firing_id
    FROM fired"""


async def plans(connection: Connection, ask: Callable[[], Awaitable[object]]) -> str:
    """Return the plans of what is asked."""
    asked: list[tuple[str, tuple[object, ...]]] = []
    with connection.query_logger(lambda one: asked.append((one.query, one.args))):
        await ask()
        # asyncpg tells in the loop's next round.
        await asyncio.sleep(0)
    lines = [
        row[0]
        for query, arguments in asked
        for row in await connection.fetch(f"EXPLAIN {query}", *arguments)
    ]
    return "\n".join(lines)


async def test_a_rules_firings_and_an_orgs_enrolments_are_read_by_their_indexes(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "INSERT INTO org (org_id, sync_user_id) VALUES ($1, $2)", ORG_ID, SYNC_USER_ID
        )
        await connection.execute(FILL, ORG_ID)
        await connection.execute("ANALYZE")
        today = await plans(
            connection, lambda: rule_activity.today(connection, [(ORG_ID, "rule-7")])
        )
        newest = await plans(
            connection, lambda: rule_activity.newest(connection, ORG_ID, "rule-7", limit=20)
        )
        people = await plans(
            connection, lambda: enrollments.newest(connection, org_id=ORG_ID, limit=20)
        )
    finally:
        await connection.close()
    for plan, index in (
        (today, "firing_by_rule on firing"),
        (newest, "firing_by_rule on firing"),
        (people, "enrollment_by_org on enrollment"),
    ):
        assert f"using {index}" in plan, plan
    assert "Seq Scan on firing" not in today + newest + people
    assert "Seq Scan on enrollment" not in people
