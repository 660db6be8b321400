"""One transaction a batch: once, whatever comes again; the newest counts, whatever comes first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

from rules import RuleSet
from tests.changes import (
    QUALIFIED_RULE,
    add_org,
    apply_rules,
    inserted,
    lead,
    received,
    record_ids,
    updated,
)
from tests.salesforce import LEAD_ID, ORG_ID, callout, now_ms
from tests.snapshots import absence, snapshot
from workers.processor import Outcome, Processor

if TYPE_CHECKING:
    from pipeline.change import Change
    from pipeline.database import Connection, Pool
    from rules.match import Verdicts

COUNTS = """
    SELECT (SELECT count(*) FROM change), (SELECT count(*) FROM record),
           (SELECT count(*) FROM firing), (SELECT count(*) FROM enrollment),
           (SELECT count(*) FROM outbox)"""
DAY_MS = 24 * 3_600_000
LOOKUP_RULE = """\
rule: owned
object: Lead
on: [insert]
when: [{field: Owner.IsActive, equals: true}]
then: [{add_to_sequence: owned, recipient: Email}]
"""


async def stands(pool: Pool) -> tuple[bool, dict[str, object]]:
    row = await pool.fetchrow("SELECT deleted, fields FROM record")
    assert row is not None
    return row["deleted"], msgspec.json.decode(row["fields"])


async def test_a_batch_that_comes_twice_has_its_effects_once(
    pool: Pool, processor: Processor
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    batch = received(*(inserted(lead(Id=record_id)) for record_id in islice(record_ids(), 5)))

    for again in (batch, batch, [*batch, *reversed(batch)]):
        assert await processor.process(again) == Outcome(5, 0)

    row = await pool.fetchrow(COUNTS)
    assert row is not None
    assert tuple(row) == (5, 5, 5, 1, 1)


@pytest.mark.parametrize("batches", [[[0, 1, 2]], [[2, 1, 0]], [[0], [1], [2]], [[2], [0, 1]]])
async def test_the_newest_state_wins_within_and_across_batches(
    pool: Pool, processor: Processor, batches: list[list[int]]
) -> None:
    at = now_ms()
    history = [
        received(inserted(lead(Status="First"), captured_at=at, sequence=0)),
        received(updated(lead(), lead(Status="Second"), captured_at=at, sequence=1)),
        received(updated(lead(), lead(Status="Third"), captured_at=at + 1, sequence=0)),
    ]
    for batch in batches:
        await processor.process(change for index in batch for change in history[index])

    assert await stands(pool) == (False, lead(Status="Third"))
    assert await pool.fetchval("SELECT count(*) FROM change") == 3


async def test_a_deletion_leaves_a_tombstone_with_the_last_state(
    pool: Pool, processor: Processor
) -> None:
    at = now_ms()
    deletion = callout([{"old": lead(Status="Last")}], operation="delete", captured_at=at + 1)
    await processor.process(received(deletion))
    await processor.process(received(inserted(lead(Status="First"), captured_at=at)))
    assert await stands(pool) == (True, lead(Status="Last"))

    back = callout([{"new": lead(Status="Back")}], operation="undelete", captured_at=at + 2)
    await processor.process(received(back))
    assert await stands(pool) == (False, lead(Status="Back"))


async def test_the_history_keeps_the_bytes_and_the_state_every_character(
    pool: Pool, processor: Processor
) -> None:
    record = '{"Id":"00Q5g00000HotLdEAJ", "Name": "NUL \\u0000 half \\ud83d", "N":1.10e5}'
    body = msgspec.json.encode(inserted(msgspec.Raw(record.encode())))
    await processor.process(received(body))

    assert await pool.fetchval("SELECT new FROM change") == record
    assert (await stands(pool))[1]["Name"] == "NUL \x1a0000 half \x1ad83d"


async def test_what_is_older_than_the_retention_or_ahead_of_the_clock_is_kept_as_dead(
    pool: Pool, processor: Processor
) -> None:
    at = now_ms()
    times = (at - 91 * DAY_MS, at - 89 * DAY_MS, at, at + 3_000_000, at + 2 * 3_600_000, 0)
    batch = received(*(inserted(lead(), captured_at=time) for time in times))

    assert await processor.process(batch) == Outcome(3, 3)
    rows = await pool.fetch("SELECT captured_at, reason, error FROM dead_letter")
    assert {row["captured_at"] for row in rows} == {times[0], times[4], times[5]}
    assert {row["reason"] for row in rows} == {"out_of_window"}
    assert sorted(row["error"].split()[3] for row in rows) == ["after", "before", "before"]


async def test_what_says_that_it_was_read_in_the_future_is_kept_as_dead(
    pool: Pool, processor: Processor
) -> None:
    at = now_ms() + 2 * 3_600_000
    batch = received(snapshot(lead(), read_at=at), absence(LEAD_ID, read_at=at))
    assert await processor.process(batch) == Outcome(0, 2)
    assert {letter["reason"] for letter in await pool.fetch("SELECT reason FROM dead_letter")} == {
        "out_of_window"
    }
    assert await processor.process(received(snapshot(lead(), read_at=0))) == Outcome(1, 0)


async def test_dead_letters_of_one_capture_and_two_times_are_one(
    pool: Pool, processor: Processor
) -> None:
    # One upsert cannot take the same key twice: the whole batch would be held for ever.
    batch = received(*(inserted(lead(), captured_at=time, capture_id="same") for time in (1, 2)))

    assert await processor.process(batch) == Outcome(0, 2)
    assert await pool.fetchval("SELECT array_agg(captured_at) FROM dead_letter") == [2]


async def test_a_batch_takes_as_many_statements_whatever_its_size(database_url: str) -> None:
    statements: list[str] = []

    async def listen(connection: Connection) -> None:
        connection.add_query_logger(lambda query: statements.append(query.query))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, init=listen) as pool:
        processor = Processor(pool, retention_days=90)
        await add_org(pool, ORG_ID, QUALIFIED_RULE)
        emails = (f"lead{number}@example.com" for number in range(1000))
        ids = record_ids()
        taken = []
        for size in (1, 1, 10, 250):
            leads = [lead(Id=next(ids), Email=next(emails)) for _ in range(size)]
            statements.clear()
            await processor.process(received(inserted(*leads)))
            taken.append(len(statements))

        assert await pool.fetchval("SELECT count(*) FROM outbox") == 262
    # The first one reads the rules, too.
    assert taken[1] == taken[2] == taken[3] < taken[0]
    assert taken[1] < 20


async def test_lookups_take_as_many_statements_whatever_the_batch_and_none_without_them(
    database_url: str,
) -> None:
    statements: list[str] = []

    async def listen(connection: Connection) -> None:
        connection.add_query_logger(lambda query: statements.append(query.query))

    async with asyncpg.create_pool(database_url, min_size=1, max_size=1, init=listen) as pool:
        processor = Processor(pool, retention_days=90)
        await add_org(pool, ORG_ID, QUALIFIED_RULE)
        ids = record_ids()
        taken = []
        for size, rules in ((1, ""), (1, ""), (1, LOOKUP_RULE), (1, ""), (40, ""), (200, "")):
            if rules:
                await apply_rules(pool, ORG_ID, QUALIFIED_RULE, rules)
            leads = [lead(Id=one, OwnerId=f"005{one[3:15]}") for one in islice(ids, size)]
            statements.clear()
            await processor.process(received(inserted(*leads)))
            taken.append(len(statements))
            lookups = ("AS wanted (org_id, record_id)", "INTO reference", "INTO waiting")
            found = [any(words in query for query in statements) for words in lookups]
            assert set(found) == {len(taken) > 2}
        assert await pool.fetchval("SELECT count(*) FROM waiting") == 242
    # With new rules they are read, too; then there are a lookup, the references and the waits.
    assert taken[3] == taken[4] == taken[5] == taken[1] + 3


async def test_a_rule_that_fails_on_one_change_makes_that_one_dead(
    pool: Pool, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_org(pool, ORG_ID, QUALIFIED_RULE)
    ids = list(islice(record_ids(), 5))
    evaluate = RuleSet.evaluate

    def fail_on_one(rules: RuleSet, change: Change, **facts: Any) -> Verdicts:
        if change.record_id == ids[2]:
            raise RecursionError("of ana@example.com")
        return evaluate(rules, change, **facts)

    monkeypatch.setattr(RuleSet, "evaluate", fail_on_one)
    batch = received(*(inserted(lead(Id=record_id)) for record_id in ids))

    assert await processor.process(batch) == Outcome(4, 1)
    row = await pool.fetchrow("SELECT record_id, reason, error FROM dead_letter")
    assert row is not None
    assert tuple(row) == (ids[2], "rule_failed", "evaluating the rules failed: RecursionError")
    committed = await pool.fetch("SELECT record_id FROM firing ORDER BY record_id")
    assert [row["record_id"] for row in committed] == [*ids[:2], *ids[3:]]
