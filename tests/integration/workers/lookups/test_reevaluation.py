"""When a record changes, the rules of those that look it up are asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.objects import long_id
from rules import RuleSet
from tests.changes import add_org, apply_rules, lead, received, record_ids
from tests.integration.workers.lookups.org import (
    ACCOUNT,
    CONTACT,
    INDUSTRY,
    OPPORTUNITY,
    OTHER_ACCOUNT,
    TASK,
    TURNED,
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
from tests.salesforce import LEAD_ID, ORG_ID, SYNC_USER_ID, callout, now_ms
from workers.lookups import turns
from workers.processor import Outcome

if TYPE_CHECKING:
    from pipeline.change import Change
    from pipeline.database import Pool
    from rules.match import Verdicts
    from workers.lookups.sweep import Sweep
    from workers.processor import Processor

HOUR_MS = 3_600_000
CHANGED_ITSELF = """\
rule: itself
object: Contact
on: [update]
when: [{any: [{field: AccountId, changed: true}, {field: Email, changed: true}]}]
then: [{add_to_sequence: itself, recipient: Email}]
"""


async def insert_many(processor: Processor, records: list[dict[str, Any]], name: str) -> None:
    body = callout([{"new": record} for record in records], object=name, operation="insert")
    assert await processor.process(received(body)) == Outcome(len(records), 0)


async def test_a_parents_change_fires_for_its_children_as_changes_of_its_own_transaction(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY, TURNED, CHANGED_ITSELF)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    cause = await changed(processor, account("Bank"), account("Tech"), sequence=7)

    for _ in range(3):
        await swept(sweep)
        assert await fired(pool) == [
            ("tech", CONTACT, ACCOUNT, cause),
            ("turned", CONTACT, ACCOUNT, cause),
        ]
        assert await left(pool) == (0, 0)
    row = await pool.fetchrow(
        "SELECT object, sequence, evidence->0 FROM firing WHERE rule = 'turned'"
    )
    assert row is not None
    assert tuple(row)[:2] == ("Contact", 7)
    assert '"old": "Bank"' in row[2]
    assert '"new": "Tech"' in row[2]


async def test_each_change_of_a_parent_counts_once_however_late_the_sweep_comes(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, TURNED)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    at = now_ms()
    await changed(processor, account("Bank"), account("Shop"), captured_at=at)
    cause = await changed(processor, account("Shop"), account("Tech"), captured_at=at + 1)
    await changed(processor, account("Tech"), account("Farm"), captured_at=at + 2)

    await swept(sweep)
    assert await fired(pool) == [("turned", CONTACT, ACCOUNT, cause)]


async def test_a_child_that_left_its_parent_or_lives_no_more_is_not_asked_about(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    dead = contact(Id=long_id("0035g00000DeadX"))
    for record in (account("Bank"), account("Bank", Id=OTHER_ACCOUNT), contact(), dead):
        await changed(processor, None, record)
    moved = contact(AccountId=OTHER_ACCOUNT)
    await changed(processor, contact(), moved, captured_at=now_ms() + 1)
    await changed(processor, dead, None, captured_at=now_ms() + 1)
    await changed(processor, account("Bank"), account("Tech"))
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 0))

    other = account("Tech", Id=OTHER_ACCOUNT)
    cause = await changed(processor, {**other, "Industry": "Bank"}, other)
    await swept(sweep)
    assert await fired(pool) == [("tech", CONTACT, OTHER_ACCOUNT, cause)]


async def test_a_parent_with_many_children_is_served_in_pages_and_keeps_no_other_waiting(
    pool: Pool, processor: Processor, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.lookups.sweep._PAGES", 2)
    await add_org(pool, ORG_ID, INDUSTRY)
    other = account("Bank", Id=OTHER_ACCOUNT)
    await insert_many(processor, [account("Bank"), other], "Account")
    ids = record_ids("003")
    children = [contact(Id=next(ids), Email=f"c{number}@x.org") for number in range(2500)]
    for start in range(0, 2500, 500):
        await insert_many(processor, children[start : start + 500], "Contact")
    await changed(processor, None, contact(AccountId=OTHER_ACCOUNT))
    await swept(sweep)

    await changed(processor, account("Bank"), account("Tech"))
    await changed(processor, other, {**other, "Industry": "Tech"})
    assert await sweep.once(), "there is more than two pages"
    rows = await pool.fetch("SELECT cause_record_id, count(*) FROM firing GROUP BY cause_record_id")
    counts = {row["cause_record_id"]: row["count"] for row in rows}
    assert counts[OTHER_ACCOUNT] == 1
    assert 0 < counts[ACCOUNT] < 1000
    await swept(sweep)
    assert await pool.fetchval("SELECT count(DISTINCT record_id) FROM firing") == 2501
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 2501
    assert await left(pool) == (0, 0)


async def test_a_path_of_two_lookups_is_climbed_down_from_either_of_its_ends(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, TWO_LEVELS)
    active = {"Id": long_id("0055g00000Activ"), "IsActive": True}
    for record in (user(active=False), active, account(OwnerId=USER), opportunity()):
        await changed(processor, None, record)
    cause = await changed(processor, user(active=False), user(active=True))
    await swept(sweep)
    assert await fired(pool) == [("owned", OPPORTUNITY, USER, cause)]

    await changed(processor, user(active=True), user(active=False))
    cause = await changed(processor, account(OwnerId=USER), account(OwnerId=active["Id"]))
    await swept(sweep)
    assert (await fired(pool))[1:] == [("owned", OPPORTUNITY, ACCOUNT, cause)]
    assert await left(pool) == (0, 0)


async def test_a_reference_to_several_objects_is_followed_to_each(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    who = """\
rule: who
object: Task
on: [update]
when: [{field: Who.Title, equals: CEO}]
then: [{add_to_sequence: who, recipient: Who.Email}]
"""
    what = who.replace("who", "what").replace(
        "Who.Title, equals: CEO", "What.StageName, is_set: true"
    )
    await add_org(pool, ORG_ID, who, what)
    other = long_id("00T5g000000ther")
    for record in (
        contact(),
        lead(),
        opportunity(),
        {"Id": TASK, "WhoId": CONTACT, "WhatId": OPPORTUNITY},
        {"Id": other, "WhoId": LEAD_ID[:15]},
    ):
        await changed(processor, None, record)
    for old, task in ((contact(), TASK), (lead(), other)):
        cause = await changed(processor, old, {**old, "Title": "CEO"})
        await swept(sweep)
        assert (await fired(pool))[-1] == ("who", task, old["Id"], cause)
    cause = await changed(processor, opportunity(), opportunity(StageName="Won"))
    await swept(sweep)
    assert (await fired(pool))[-1] == ("what", TASK, OPPORTUNITY, cause)
    assert await left(pool) == (0, 0)


async def test_a_parent_that_is_deleted_and_brought_back_has_no_values_in_between(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    lost = INDUSTRY.replace("rule: tech", "rule: lost").replace("equals: Tech", "is_empty: true")
    await add_org(pool, ORG_ID, lost, TURNED)
    await changed(processor, None, account("Tech"))
    await changed(processor, None, contact())
    at = now_ms() + 10
    cause = await changed(processor, account("Tech"), None, captured_at=at)
    await swept(sweep)
    assert (await fired(pool))[-1] == ("lost", CONTACT, ACCOUNT, cause)

    back = await changed(processor, None, account("Tech"), operation="undelete", captured_at=at + 1)
    await swept(sweep)
    assert (await fired(pool))[-1] == ("turned", CONTACT, ACCOUNT, back)


@pytest.mark.parametrize(
    "keys", [{"actor_id": SYNC_USER_ID}, {"captured_at": now_ms() - 25 * HOUR_MS}]
)
async def test_who_made_a_parents_change_and_its_age_count_as_for_any_change(
    pool: Pool, processor: Processor, sweep: Sweep, keys: dict[str, Any]
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    await changed(processor, account("Bank"), account("Tech"), **keys)
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 0))


async def test_a_change_that_no_rule_looks_up_writes_nothing(
    pool: Pool, processor: Processor
) -> None:
    only_inserts = INDUSTRY.replace("[insert, update, undelete]", "[insert]")
    await add_org(pool, ORG_ID, only_inserts, TURNED.replace("Industry", "Site"))
    await changed(processor, None, account("Bank"))
    await changed(processor, account("Bank"), account("Tech", Name="New"))
    assert await left(pool) == (0, 0)


async def test_a_rule_that_waits_for_another_record_in_it_fires_once_that_is_there(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    both = INDUSTRY.replace("Tech}", "Tech}, {field: Owner.IsActive, equals: true}")
    await add_org(pool, ORG_ID, both)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact(OwnerId=USER))
    cause = await changed(processor, account("Bank"), account("Tech"))
    await swept(sweep)
    assert await left(pool) == (1, 0)

    await changed(processor, None, user(active=True))
    await swept(sweep)
    assert await fired(pool) == [("tech", CONTACT, ACCOUNT, cause)]
    assert await left(pool) == (0, 0)


async def test_a_child_that_fails_for_good_is_set_aside_and_its_siblings_fire(
    pool: Pool, processor: Processor, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    ids = record_ids("003")
    children = [contact(Id=next(ids), Email=f"c{number}@x.org") for number in range(30)]
    await insert_many(processor, children, "Contact")
    evaluate = RuleSet.evaluate

    def fail_on_one(rules: RuleSet, change: Change, **facts: Any) -> Verdicts:
        if change.record_id == children[17]["Id"]:
            raise RecursionError
        return evaluate(rules, change, **facts)

    monkeypatch.setattr(RuleSet, "evaluate", fail_on_one)
    await changed(processor, account("Bank"), account("Tech"))
    await swept(sweep)
    assert len(await fired(pool)) == 29
    row = await pool.fetchrow("SELECT stage, depth, parent_id, attempts, error FROM reevaluation")
    assert row is not None
    assert tuple(row)[:4] == ("failed", 0, children[17]["Id"], turns.MAX_ATTEMPTS)
    assert "RecursionError" in row["error"]


async def test_a_change_that_the_history_has_lost_is_set_aside(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    await changed(processor, account("Bank"), account("Tech"))
    await pool.execute("DELETE FROM change")
    await swept(sweep)
    assert await pool.fetchval("SELECT stage FROM reevaluation") == "failed"


async def test_a_rule_that_is_gone_is_not_asked_again(
    pool: Pool, processor: Processor, sweep: Sweep
) -> None:
    await add_org(pool, ORG_ID, INDUSTRY)
    await changed(processor, None, account("Bank"))
    await changed(processor, None, contact())
    await changed(processor, account("Bank"), account("Tech"))
    await pool.execute("UPDATE rule SET state = 'disabled'")
    await swept(sweep)
    assert (await fired(pool), await left(pool)) == ([], (0, 0))
    await apply_rules(pool, ORG_ID, INDUSTRY)
    await swept(sweep)
    assert await fired(pool) == []
