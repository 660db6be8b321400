"""What becomes of a gap: it was filled, it has to wait, or the rules see what it hid."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import pytest

from ops.commands.explain_lines import change_lines
from ops.explanation import explain_capture
from pipeline.settings import Worker
from tests.changes import add_org, received, updated
from tests.integration.workers.continuity.org import (
    Lead,
    add_watching_org,
    come_due,
    confirm,
    fired,
    gaps,
)
from tests.integration.workers.lookups.org import (
    CONTACT,
    TURNED,
    account,
    contact,
)
from tests.salesforce import ORG_ID, now_ms
from workers.lookups.sweep import Sweep
from workers.processor import Processor

if TYPE_CHECKING:
    from pipeline.database import Pool

BEAT: Final = """
    INSERT INTO heartbeat (org_id, heard_at, beat_at, parked_count, overflow_count)
    VALUES ($1, now(), now() - $4::integer * interval '1 hour', $2, $3)
    ON CONFLICT (org_id) DO UPDATE
    SET parked_count = excluded.parked_count, overflow_count = excluded.overflow_count,
        beat_at = excluded.beat_at"""


async def states(pool: Pool) -> list[str]:
    return [state for state, _ in await gaps(pool)]


async def lose(pool: Pool, processor: Processor) -> Lead:
    """Store a lead's creation and its loss; all in between is missing. Return it."""
    await add_watching_org(pool)
    one = Lead()
    await processor.process([one.created])
    await processor.process([one.lost])
    assert await states(pool) == ["suspected"]
    return one


async def test_what_arrived_meanwhile_fills_a_gap(pool: Pool, processor: Processor) -> None:
    one = await lose(pool, processor)
    await processor.process([one.qualified])
    await confirm(pool)
    assert await states(pool) == ["suspected"], "it was not due yet"
    await processor.process([one.working])
    await come_due(pool)
    await confirm(pool)
    assert await states(pool) == ["filled"]
    assert await fired(pool) == [one.qualified.capture_id]


async def test_a_confirmed_gap_shows_the_rules_what_it_hid_once(
    pool: Pool, processor: Processor
) -> None:
    one = await lose(pool, processor)
    await come_due(pool)
    await asyncio.gather(*(confirm(pool) for _ in range(3)))
    assert await states(pool) == ["confirmed"]
    (capture_id,) = await fired(pool)
    assert capture_id.startswith("gap:")
    row = await pool.fetchrow("SELECT * FROM change WHERE capture_id = $1", capture_id)
    assert row is not None
    assert (row["operation"], row["actor_id"], row["sequence"]) == ("update", None, -1)
    assert json.loads(row["old"])["Status"] == "Open"
    assert json.loads(row["new"]) == one.state("Qualified")
    async with pool.acquire() as connection:
        (trail,) = await explain_capture(connection, capture_id, ORG_ID)
    assert "nobody told of it" in "\n".join(change_lines(trail))
    assert [(rule.rule, rule.outcome) for rule in trail.rules] == [("qualified", "fired")]
    # The record and all that was there before are as they were.
    assert await pool.fetchval("SELECT fields->>'Status' FROM record") == "Lost"

    # Not again for whatever comes again; not even if the gap itself were suspected anew.
    await processor.process([one.created, one.lost])
    await pool.execute("UPDATE gap SET state = 'suspected', stored = $1::text::jsonb", row["old"])
    await come_due(pool)
    await confirm(pool)
    assert await fired(pool) == [capture_id]
    assert await pool.fetchval("SELECT count(*) FROM enrollment WHERE generation = 1") == 1


async def test_a_change_that_comes_after_that_is_stored_and_fires_nothing(
    pool: Pool, processor: Processor
) -> None:
    one = await lose(pool, processor)
    await come_due(pool)
    await confirm(pool)
    (seen,) = await fired(pool)
    await processor.process([one.working, one.qualified])
    assert await fired(pool) == [seen]
    assert await pool.fetchval("SELECT count(*) FROM change") == 5
    assert await states(pool) == ["confirmed"]
    # What comes after the gap is judged as ever.
    again = one.step("Lost", "Qualified", one.at + 9000)
    await processor.process([again])
    assert await fired(pool) == [seen, again.capture_id]


async def test_of_a_gap_that_was_filled_in_part_the_rest_is_seen(
    pool: Pool, processor: Processor
) -> None:
    one = await lose(pool, processor)
    # What led from Open to Working is still missing, but nothing to Qualified.
    await processor.process([one.qualified])
    await come_due(pool)
    await confirm(pool)
    assert await states(pool) == ["confirmed"]
    rows = await pool.fetch("SELECT new FROM change WHERE capture_id LIKE 'gap:%'")
    assert [json.loads(row["new"])["Status"] for row in rows] == ["Working"]
    assert await fired(pool) == [one.qualified.capture_id]


@pytest.mark.parametrize(("parked", "overflow", "hours_ago"), [(1, 0, 0), (0, 2, 0), (0, 0, 3)])
async def test_while_an_org_has_something_parked_or_is_silent_its_gaps_wait(
    pool: Pool, processor: Processor, parked: int, overflow: int, hours_ago: int
) -> None:
    await lose(pool, processor)
    await pool.execute(BEAT, ORG_ID, parked, overflow, hours_ago)
    await come_due(pool)
    await confirm(pool)
    assert await states(pool) == ["suspected"]
    due_in = await pool.fetchval("SELECT extract(epoch FROM due_at - now())::integer FROM gap")
    assert 3500 < due_in <= 3600
    await pool.execute(BEAT, ORG_ID, 0, 0, 0)
    await come_due(pool)
    await confirm(pool)
    assert await states(pool) == ["confirmed"]


async def test_a_gap_that_cannot_be_judged_holds_up_no_other(
    pool: Pool, processor: Processor
) -> None:
    await lose(pool, processor)
    lost = updated({"Id": "00Q5g0000000001AAA"}, {"Id": "00Q5g0000000001AAA"})
    assert received(lost)
    await pool.execute("""
        INSERT INTO gap (org_id, record_id, object, captured_at, sequence, capture_id, stored_at,
                         stored_sequence, stored_capture_id, stored, fields, due_at)
        SELECT org_id, '00Q5g0000000001AAA', object, captured_at, sequence, 'gone', stored_at,
               stored_sequence, stored_capture_id, stored, fields, due_at FROM gap""")
    for _ in range(5):
        await pool.execute("UPDATE gap SET due_at = now() WHERE state = 'suspected'")
        await confirm(pool)
    rows = await pool.fetch("SELECT state, error FROM gap ORDER BY record_id")
    assert [row["state"] for row in rows] == ["failed", "confirmed"]
    assert "no longer has" in rows[0]["error"]


async def test_a_workers_sweep_confirms_and_waiting_loses_nothing(pool: Pool) -> None:
    """A rule that lacks a parent waits with the gap; one that looks the record up hears of it."""
    waiting = """\
rule: waiting
object: Account
on: [update]
when: [{field: Industry, changed_to: Tech}, {field: Owner.IsActive, equals: true}]
then: [{add_to_sequence: nurture, recipient: Email__c}]
"""
    await add_org(pool, ORG_ID, TURNED, waiting)
    processor = Processor(pool, retention_days=90, gap_confirm_s=0.001)
    sweep = Sweep(pool, Worker())
    owner = "0055g00000AbCdEAAV"
    at = now_ms() + 1000
    fields = {"OwnerId": owner, "Email__c": "ana@example.com"}
    old, told, new = (account(name, **fields) for name in ("Steel", "Tech", "Wood"))

    def step(before: object, after: object, object_: str, after_ms: int) -> object:
        change = {"old": before, "new": after}
        operation = "insert" if before is None else "update"
        return {
            **updated({}, {}, captured_at=at + after_ms, object=object_, operation=operation),
            "changes": [change],
        }

    await processor.process(
        received(step(None, old, "Account", 0), step(None, contact(), "Contact", 1))
    )
    await processor.process(received(step(told, new, "Account", 2)))
    async with asyncio.timeout(20):
        while not await pool.fetchval("SELECT count(*) FROM waiting"):
            await sweep.once()
    user = {"Id": owner, "IsActive": True}
    await processor.process(received(step(None, user, "User", 3)))
    async with asyncio.timeout(20):
        while await pool.fetchval("SELECT count(*) FROM firing") < 2:
            await sweep.once()
    rows = await pool.fetch("SELECT rule, record_id, capture_id FROM firing ORDER BY rule")
    assert [row["rule"] for row in rows] == ["turned", "waiting"]
    assert rows[0]["record_id"] == CONTACT
    assert all(row["capture_id"].startswith("gap:") for row in rows)
