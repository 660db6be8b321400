"""A rule that looks up a record which is not synced yet waits for it, up to a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.settings import Worker
from rules import RuleSet
from tests.changes import add_org, apply_rules, received
from tests.integration.workers.lookups.org import (
    ACCOUNT,
    CONTACT,
    INDUSTRY,
    OPPORTUNITY,
    TWO_LEVELS,
    USER,
    account,
    changed,
    contact,
    fired,
    left,
    opportunity,
    swept,
    user,
)
from tests.salesforce import ORG_ID, SYNC_USER_ID, callout, now_ms
from workers.lookups.sweep import Sweep
from workers.processor import Outcome, Processor

if TYPE_CHECKING:
    from typing import Any

    from pipeline.change import Change
    from pipeline.database import Pool
    from rules.match import Verdicts

HOUR_MS = 3_600_000


async def test_a_parent_that_came_before_decides_at_once(pool: Pool, processor: Processor) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Tech"))
    transaction = await changed(processor, None, contact())

    assert await fired(pool) == [("tech", CONTACT, None, transaction)]
    assert await left(pool) == (0, 0)


async def test_a_parent_and_a_child_of_one_batch_see_each_other(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    batch = received(
        callout(
            [{"new": contact()}], object="Contact", operation="insert", captured_at=now_ms() - 9
        ),
        callout([{"new": account("Tech")}], object="Account", operation="insert"),
    )
    assert await processor.process(batch) == Outcome(2, 0)

    assert [rule for rule, *_ in await fired(pool)] == ["tech"]
    assert await left(pool) == (0, 0)


async def test_a_child_that_came_before_fires_as_its_own_change_once_the_parent_is_there(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    transaction = await changed(processor, None, contact())
    await swept(sweep)
    row = await pool.fetchrow("SELECT * FROM waiting")
    assert row is not None
    assert (row["rule"], row["record_id"], row["parents"]) == ("tech", CONTACT, [ACCOUNT])
    assert await fired(pool) == []

    await changed(processor, None, account("Tech"))
    for _ in range(3):
        await swept(sweep)
        assert await fired(pool) == [("tech", CONTACT, None, transaction)]
        assert await left(pool) == (0, 0)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_parent_that_does_not_meet_the_condition_ends_the_wait(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    await changed(processor, None, account("Bank"))
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 0))


async def test_a_longer_path_waits_for_one_parent_after_the_other(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, TWO_LEVELS)
    transaction = await changed(processor, None, opportunity())
    for parent, awaited in ((None, ACCOUNT), (account(OwnerId=USER), USER)):
        if parent:
            await changed(processor, None, parent)
        await swept(sweep)
        assert await pool.fetchval("SELECT parents FROM waiting") == [awaited]

    await changed(processor, None, user(active=True))
    await swept(sweep)
    assert await fired(pool) == [("owned", OPPORTUNITY, None, transaction)]
    assert await left(pool) == (0, 0)


async def test_a_wait_that_lasts_too_long_expires_and_is_kept(pool: Pool) -> None:
    processor = Processor(pool, retention_days=90, parent_wait_s=0.001)
    sweep = Sweep(pool, Worker(parent_wait_s=0.001))
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    for _ in range(2):
        await swept(sweep)
        row = await pool.fetchrow("SELECT state, parents, settled_at FROM waiting")
        assert row is not None
        assert (row["state"], row["parents"]) == ("expired", [ACCOUNT])
        assert row["settled_at"]
        await changed(processor, None, account("Tech"))
    assert await fired(pool) == []


async def test_a_parent_that_came_just_before_the_end_of_the_wait_is_seen(pool: Pool) -> None:
    processor = Processor(pool, retention_days=90, parent_wait_s=0.001)
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    await changed(processor, None, account("Tech"))
    await swept(Sweep(pool, Worker()))
    assert len(await fired(pool)) == 1


async def test_a_rule_that_is_gone_waits_no_more_and_a_new_version_decides(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY, INDUSTRY.replace("rule: tech", "rule: gone"))
    await changed(processor, None, contact())
    await pool.execute("UPDATE rule SET state = 'disabled' WHERE rule = 'gone'")
    await apply_rules(pool, ORG_ID, INDUSTRY.replace("Tech", "Bank"))
    await changed(processor, None, account("Bank"))
    await swept(sweep)

    rows = await pool.fetch("SELECT rule, rule_version FROM firing")
    assert [tuple(row) for row in rows] == [("tech", 2)]
    assert await left(pool) == (0, 0)


async def test_a_change_that_the_history_has_lost_is_kept_as_expired(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact())
    await pool.execute("DELETE FROM change")
    await changed(processor, None, account("Tech"))
    await swept(sweep)
    assert await pool.fetchval("SELECT state FROM waiting") == "expired"
    assert await fired(pool) == []


@pytest.mark.parametrize(
    "keys", [{"actor_id": SYNC_USER_ID}, {"captured_at": now_ms() - 25 * HOUR_MS}]
)
async def test_who_made_a_change_and_its_age_count_after_a_wait_as_before(
    pool: Pool, processor: Processor, sweep: Sweep, keys: dict[str, Any]
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, contact(), **keys)
    await changed(processor, None, account("Tech"))
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 0))


async def test_a_rule_that_takes_a_missing_parent_for_empty_decides_at_once(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    empty = "missing_parent: empty\n" + INDUSTRY.replace("equals: Tech", "is_empty: true")
    await add_org(pool, ORG_ID, empty, "missing_parent: empty\n" + INDUSTRY.replace("tech", "is"))
    transaction = await changed(processor, None, contact())
    assert await fired(pool) == [("tech", CONTACT, None, transaction)]
    assert await left(pool) == (0, 0)

    # And what it took for empty matters again once it is there.
    cause = await changed(processor, None, account("Tech"))
    await swept(sweep)
    assert (await fired(pool))[1:] == [("is", CONTACT, ACCOUNT, cause)]


async def test_a_row_that_fails_for_good_is_set_aside_and_keeps_no_other_waiting(
    pool: Pool, processor: Processor, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    bad = contact(Id="0035g00000000BadAA", Email="bad@example.com")
    for record in (contact(), bad, contact(Id="0035g0000000GoodAA", Email="good@example.com")):
        await changed(processor, None, record)
    evaluate = RuleSet.evaluate

    def fail_on_one(rules: RuleSet, change: Change, **facts: Any) -> Verdicts:
        if change.record_id == bad["Id"]:
            raise RecursionError
        return evaluate(rules, change, **facts)

    monkeypatch.setattr(RuleSet, "evaluate", fail_on_one)
    await changed(processor, None, account("Tech"))
    await sweep.once()
    assert len(await fired(pool)) == 2
    for _ in range(5):
        await sweep.once()
    row = await pool.fetchrow("SELECT record_id, state, attempts, error FROM waiting")
    assert row is not None
    assert tuple(row)[:3] == (bad["Id"], "failed", 5)
    assert "RecursionError" in row["error"]
