"""Stored changes go through the rules again: what matches has its effects once, however often."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest

from ops import bulk_runs
from ops.bulk_runs import BulkRun, RunState
from ops.errors import OpsError, WrongUsage
from ops.replay import history, history_plan
from ops.replay.outcome import outcome
from pipeline.objects import SObject, long_id
from pipeline.settings import Worker
from tests.changes import QUALIFIED_RULE, add_org, apply_rules, inserted, received, record_ids
from tests.salesforce import ORG_ID, callout, now_ms
from workers.lookups.sweep import Sweep
from workers.processor import Processor

if TYPE_CHECKING:
    from ops.replay.history_plan import HistoryPlan
    from pipeline.database import Pool

ACTOR: Final = "ana@desk"
FAST: Final = 1_000_000
ACCOUNT: Final = long_id("0015g00000Accou")
CONTACT: Final = long_id("0035g00000Conta")
TECH_RULE: Final = """\
rule: tech
object: Contact
on: [insert, update]
when: [{field: Account.Industry, equals: Tech}]
then: [{add_to_sequence: tech, recipient: Email}]
"""
FIRED: Final = "SELECT rule, record_id, run_id FROM firing ORDER BY rule, record_id"
STATE: Final = """
    SELECT enrollment.sequence, recipient, state, generation, rule
    FROM enrollment JOIN firing USING (firing_id) ORDER BY 1, 2"""


@pytest.fixture
async def pool(pool: Pool) -> Pool:
    await add_org(pool)
    return pool


@pytest.fixture
def processor(pool: Pool) -> Processor:
    return Processor(pool, retention_days=90)


def leads(count: int, *, of_which_qualified: int) -> list[dict[str, Any]]:
    return [
        {
            "Id": record_id,
            "Status": "Qualified" if number < of_which_qualified else "Open",
            "Email": f"lead{number}@example.com",
        }
        for number, record_id in zip(range(count), record_ids(), strict=False)
    ]


async def planned(pool: Pool, **narrowed: Any) -> HistoryPlan:
    span = {"since_ms": now_ms() - 7 * 86_400_000, "until_ms": now_ms() + 1}
    async with pool.acquire() as connection:
        return await history_plan.plan(connection, **{**span, **narrowed})


async def begun(pool: Pool, **narrowed: Any) -> BulkRun:
    plan = await planned(pool, **narrowed)
    async with pool.acquire() as connection:
        return await history_plan.begin(connection, plan, actor=ACTOR, rate_per_s=FAST)


async def driven(pool: Pool, run: BulkRun) -> BulkRun:
    async with asyncio.timeout(30), history.work(parent_wait_s=600) as work:
        return await bulk_runs.drive(
            pool, run.id, work, asyncio.Event(), driver="test", tell=lambda _run, _held: None
        )


async def replayed(pool: Pool, **narrowed: Any) -> BulkRun:
    return await driven(pool, await begun(pool, **narrowed))


async def rows(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(query)]


async def test_a_new_rule_enrols_by_old_changes_once_and_says_before_whom(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(inserted(*leads(700, of_which_qualified=9))))
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)

    plan = await planned(pool)
    assert (plan.total_count, plan.is_exact) == (700, True)
    assert [(one.object, one.changes) for one in plan.counts] == [("Lead", 700)]
    ((rule,),) = [trial.rules for trial in plan.trials]
    assert (rule.matched, rule.additions[0].enrolments) == (9, 9)
    assert not await rows(pool, FIRED)

    run = await replayed(pool)
    assert (run.state, run.done_count, run.failed_count) == (RunState.FINISHED, 700, 0)
    assert await rows(pool, STATE) == [
        ("nurture", f"lead{number}@example.com", "pending", 1, "qualified-to-nurture")
        for number in range(9)
    ]
    assert {run_id for *_, run_id in await rows(pool, FIRED)} == {run.id}
    async with pool.acquire() as connection:
        found = await outcome(connection, run)
    assert (found.fired_count, found.failure) == (9, None)
    assert [(one.rule, one.fired) for one in found.rules] == [("qualified-to-nurture", 9)]
    assert [(one.state, one.count) for one in found.enrollments] == [("pending", 9)]

    before = await rows(pool, "SELECT * FROM outbox ORDER BY 1")
    assert (await planned(pool)).trials[0].rules[0].additions[0].enrolments == 0
    again = await replayed(pool)
    async with pool.acquire() as connection:
        assert (await outcome(connection, again)).fired_count == 0
    assert {run_id for *_, run_id in await rows(pool, FIRED)} == {run.id}
    assert await rows(pool, "SELECT * FROM outbox ORDER BY 1") == before


async def test_a_replay_in_any_order_ends_where_the_changes_themselves_would_have(
    pool: Pool, processor: Processor
) -> None:
    record_id = next(record_ids())
    states = ["Qualified", "Open", "Qualified", "Open", "Qualified"]
    rule = QUALIFIED_RULE.replace("equals", "changed_to").replace(
        "variables:", "re_enroll: always, variables:"
    )
    lead = {"Id": record_id, "Email": "ana@example.com"}
    changes = [
        received(
            callout(
                [{"old": {**lead, "Status": was}, "new": {**lead, "Status": status}}],
                captured_at=now_ms() - 50_000 + number,
            )
        )[0]
        for number, (was, status) in enumerate(zip(["Open", *states], states, strict=False))
    ]
    # The newest two arrive under the rule, the others before it.
    await processor.process(changes[:3])
    await apply_rules(pool, ORG_ID, rule)
    await processor.process(changes[3:])
    await replayed(pool)
    assert await rows(pool, STATE) == [
        ("nurture", "ana@example.com", "pending", 3, "qualified-to-nurture")
    ]
    assert len(await rows(pool, FIRED)) == 3


async def test_max_age_does_not_count_and_the_ceiling_does(
    pool: Pool, processor: Processor
) -> None:
    old = inserted(*leads(6, of_which_qualified=5), captured_at=now_ms() - 3 * 86_400_000)
    rule = QUALIFIED_RULE + "ceiling: 2\n"
    await apply_rules(pool, ORG_ID, rule)
    await processor.process(received(old))
    assert not await rows(pool, FIRED)

    (found,) = (await planned(pool)).trials[0].rules
    assert (found.matched, found.passed_over.max_age, found.held) == (5, 0, 3)
    await replayed(pool)
    assert [state for _, _, state, *_ in await rows(pool, STATE)] == ["pending"] * 2 + ["held"] * 3


async def test_only_the_named_rules_are_asked_about_what_is_meant(
    pool: Pool, processor: Processor
) -> None:
    other = QUALIFIED_RULE.replace("qualified-to-nurture", "other").replace(": nurture", ": other")
    records = leads(4, of_which_qualified=4)
    start = now_ms() - 60_000
    for number, record in enumerate(records):
        await processor.process(received(inserted(record, captured_at=start + number)))
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE, other)
    run = await replayed(pool, rules=["other"], since_ms=start + 1, until_ms=start + 3)
    assert await rows(pool, FIRED) == [("other", records[n]["Id"], run.id) for n in (1, 2)]
    assert run.done_count == 2

    with pytest.raises(OpsError, match="no rule 'othr' is active; did you mean 'other'"):
        await planned(pool, rules=["othr"])
    with pytest.raises(WrongUsage, match="is about Task"):
        await planned(pool, objects=[SObject.TASK])
    with pytest.raises(OpsError, match="nothing to do"):
        await begun(pool, since_ms=1, until_ms=2)


async def test_a_replayed_change_waits_for_its_parent_and_fires_when_that_comes(
    pool: Pool, processor: Processor
) -> None:
    contact = {"Id": CONTACT, "AccountId": ACCOUNT, "Email": "ana@example.com"}
    old = inserted(contact, object="Contact", captured_at=now_ms() - 3 * 86_400_000)
    await processor.process(received(old))
    await apply_rules(pool, ORG_ID, TECH_RULE)
    run = await replayed(pool)
    assert await rows(pool, "SELECT rule, state, run_id FROM waiting") == [
        ("tech", "waiting", run.id)
    ]
    await pool.execute("UPDATE waiting SET state = 'expired', settled_at = now()")
    second = await replayed(pool)
    assert await rows(pool, "SELECT rule, state, run_id FROM waiting") == [
        ("tech", "waiting", second.id)
    ]
    await processor.process(
        received(inserted({"Id": ACCOUNT, "Industry": "Tech"}, object="Account"))
    )
    await Sweep(pool, Worker(sweep_s=0.01)).once()
    assert await rows(pool, FIRED) == [("tech", CONTACT, second.id)]


async def test_a_replayed_change_of_a_parent_has_its_children_judged_by_the_named_rules(
    pool: Pool, processor: Processor
) -> None:
    contact = {"Id": CONTACT, "AccountId": ACCOUNT, "Email": "ana@example.com"}
    at = now_ms() - 3 * 86_400_000
    await processor.process(
        received(inserted({"Id": ACCOUNT}, object="Account", captured_at=at))
        + received(inserted(contact, object="Contact", captured_at=at))
    )
    moved = callout(
        [{"old": {"Id": ACCOUNT}, "new": {"Id": ACCOUNT, "Industry": "Tech"}}],
        object="Account",
        captured_at=at + 1,
    )
    await processor.process(received(moved))
    turned = TECH_RULE.replace("rule: tech", "rule: turned").replace("equals", "changed_to")
    await apply_rules(pool, ORG_ID, TECH_RULE, turned)
    sweep = Sweep(pool, Worker(sweep_s=0.01))
    await sweep.once()
    run = await replayed(pool, rules=["turned"], objects=[SObject.ACCOUNT])
    assert run.done_count == 2
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT count(*) FROM reevaluation"):
            await sweep.once()
    assert await rows(pool, FIRED) == [("turned", CONTACT, run.id)]


async def test_a_change_that_cannot_be_judged_is_counted_and_harms_no_other(
    pool: Pool, processor: Processor
) -> None:
    records = leads(5, of_which_qualified=5)
    for record in records:
        await processor.process(received(inserted(record)))
    await pool.execute("UPDATE change SET new = '[1]' WHERE record_id = $1", records[2]["Id"])
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE)
    run = await replayed(pool)
    assert (run.state, run.done_count, run.failed_count) == (RunState.FINISHED, 4, 1)
    assert len(await rows(pool, FIRED)) == 4
    async with pool.acquire() as connection:
        found = await outcome(connection, run)
    assert records[2]["Id"] in (found.failure or "")


async def test_what_is_cancelled_amid_leaves_the_rest_and_a_later_run_does_only_that(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(inserted(*leads(900, of_which_qualified=900))))
    await apply_rules(pool, ORG_ID, QUALIFIED_RULE + "ceiling: 100000\n")
    run = await begun(pool)
    stop = asyncio.Event()
    async with history.work(parent_wait_s=600) as work:
        await bulk_runs.drive(
            pool, run.id, work, stop, driver="test", tell=lambda _run, _held: stop.set()
        )
    async with pool.acquire() as connection:
        cancelled = await bulk_runs.cancel(connection, run.id, actor=ACTOR)
    assert 0 < cancelled.done_count < 900
    assert len(await rows(pool, FIRED)) == cancelled.done_count
    second = await replayed(pool)
    found = await rows(pool, "SELECT run_id, count(*) FROM firing GROUP BY 1 ORDER BY 1")
    assert found == [(run.id, cancelled.done_count), (second.id, 900 - cancelled.done_count)]
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 900
