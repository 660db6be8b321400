"""Who is forgotten is nowhere, comes back by nothing of before, and harms no neighbour."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING

import pytest

from ops import forget
from ops.bulk_runs import RunKind, RunState
from ops.errors import OpsError, WrongUsage
from ops.run_kinds import require_rights
from pipeline.database.access import Role
from tests import forgotten
from tests.changes import OTHER_ORG_ID, inserted, message, received
from tests.forgotten import ADA, BOB, CONTACT, LEAD, OTHER_TASK, PERSON, TASK
from tests.salesforce import ORG_ID, callout
from workers.processor import Processor
from workers.received import decode

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

NEIGHBOURS = "SELECT one::text FROM {} AS one WHERE one::text LIKE '%' || $1 || '%' ORDER BY 1"
TABLES = ("change", "record", "firing", "enrollment_event", "enrollment", "outbox", "dead_letter")


async def neighbours(pool: Pool) -> dict[str, list[str]]:
    rows = {}
    for table in TABLES:
        statement = NEIGHBOURS.format(table)
        rows[table] = [row[0] for row in await pool.fetch(statement, "bob@example.com")]
    return rows


async def test_nothing_is_left_of_a_person_and_neighbours_are_as_they_were(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.leave_traces(pool)
    await forgotten.told(pool)
    before = await neighbours(pool)
    assert all(before[table] for table in TABLES[:2])
    assert {"change", "record", "firing", "enrollment", "outbox", "dead_letter", "originals"} <= {
        re.sub(r"_\d+$", "", table)
        for table, _ in forgotten.canaries_in(await forgotten.dump(pool))
    }
    async with pool.acquire() as connection:
        planned = await forget.plan(connection, forget.named(ORG_ID, [" ADA@example.com"], []))
    assert [(one.record_id, one.object) for one in planned.records] == [
        (LEAD, "Lead"),
        (CONTACT, "Lead"),
        (TASK, "Task"),
    ]
    assert planned.counts == {
        "enrollment": 1,
        "change": 3,
        "record": 3,
        "gap": 0,
        "waiting": 0,
        "dead_letter": 1,
        "outbox": 1,
    }

    run = await forgotten.drive(pool, await forgotten.begin(pool))

    assert run.state is RunState.FINISHED
    rows = await forgotten.dump(pool)
    assert forgotten.canaries_in(rows) == []
    assert await neighbours(pool) == before
    # A mention went, and nothing else of that text.
    mention = await pool.fetchval(
        "SELECT fields ->> 'Description' FROM record WHERE record_id = $1", OTHER_TASK
    )
    assert mention == "Cc:\nforgotten, nada@example.com"
    # The message keeps the other's change.
    assert any(BOB in text and LEAD not in text for text in rows["originals"])
    # Somebody else, enrolled by her record, stays so.
    assert (
        await pool.fetchval("SELECT state FROM enrollment WHERE recipient = 'rep@example.com'")
        == "active"
    )


async def test_a_record_that_changed_often_is_one_record(pool: Pool, processor: Processor) -> None:
    for _ in range(3):
        await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    run = await forgotten.drive(pool, await forgotten.begin(pool))
    assert run.state is RunState.FINISHED
    assert forgotten.canaries_in(await forgotten.dump(pool)) == []


async def test_of_a_dead_message_and_a_list_nothing_of_another_org_is_touched(
    pool: Pool, processor: Processor
) -> None:
    # A sandbox has the ids of the org that it is a copy of.
    theirs = callout([{"new": {"Id": LEAD, **PERSON}}], operation="insert", org_id=OTHER_ORG_ID)
    own = inserted({"Id": LEAD, **PERSON}, {"Id": BOB, "LastName": "Bob"})
    await pool.execute(
        """INSERT INTO dead_letter (object, reason, error, original, message_hash, routing_key)
           VALUES ('Lead', 'delivery_limit', 'x', $1, '\\x00', 'lead.insert')""",
        message(theirs, own),
    )
    asked = f"{ADA} asked"
    await pool.executemany(
        "INSERT INTO suppression (org_id, value, reason) VALUES ($1, 'example.org', $2)",
        [(ORG_ID, asked), (OTHER_ORG_ID, asked)],
    )
    await processor.process(received(*forgotten.callouts()))
    await forgotten.drive(pool, await forgotten.begin(pool))

    left, _, _ = decode(await pool.fetchval("SELECT original FROM dead_letter"))
    assert [(one.org_id, one.record_id) for one in left] == [(OTHER_ORG_ID, LEAD), (ORG_ID, BOB)]
    assert left[0].new == received(theirs)[0].new
    reasons = await pool.fetch("SELECT org_id, reason FROM suppression")
    assert dict(map(tuple, reasons)) == {ORG_ID: "forgotten asked", OTHER_ORG_ID: asked}


async def test_only_the_owner_of_the_tables_erases(pool: Pool) -> None:
    person = forget.named(ORG_ID, [ADA], [])
    for role in Role:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {role}")
            with pytest.raises(OpsError, match=f"{role} may not erase people: only the owner"):
                await forget.begin(connection, person, actor="op")
            with pytest.raises(OpsError, match="only the owner"):
                await require_rights(connection, RunKind.FORGET)
    assert await pool.fetchval("SELECT count(*) FROM bulk_run") == 0


async def test_a_run_that_is_killed_anywhere_ends_as_one_that_is_not(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.leave_traces(pool)
    await forgotten.told(pool)
    run = await forgotten.begin(pool)

    for _ in range(200):
        # What is under way when a process dies is rolled back; the next one takes the run up.
        if (await forgotten.drive(pool, run, steps=1)).state is RunState.FINISHED:
            break

    assert forgotten.canaries_in(await forgotten.dump(pool)) == []
    assert await pool.fetchval("SELECT count(*) FROM forgetting") == 0


async def test_a_batch_that_was_under_way_is_erased_or_not_committed(
    pool: Pool, processor: Processor
) -> None:
    # It knows of no tombstone, and is in the middle of its transaction when she is forgotten.
    other = Processor(pool, retention_days=90)
    await other.process(received(forgotten.callouts()[0]))
    batches = [received(*forgotten.callouts()) for _ in range(12)]

    async def work(worker: Processor, own: list[list[ReceivedChange]]) -> None:
        for batch in own:
            await worker.process(batch)

    working = [
        asyncio.create_task(work(worker, batches[place::2]))
        for place, worker in enumerate((processor, other))
    ]
    run = await forgotten.begin(pool)
    driven = await forgotten.drive(pool, run)
    await asyncio.gather(*working)

    assert driven.state is RunState.FINISHED
    theirs = await pool.fetchval(
        "SELECT count(*) FROM change WHERE record_id = ANY($1::text[])", [LEAD, CONTACT]
    )
    assert theirs == 0
    assert await pool.fetchval("SELECT count(*) FROM enrollment WHERE recipient = $1", ADA) == 0


@pytest.mark.parametrize("split", [2, 3, 5])
async def test_the_end_is_the_same_whatever_came_before_the_erasure_and_however_often_the_rest(
    pool: Pool, processor: Processor, split: int
) -> None:
    sent = forgotten.callouts()
    # Once a record of hers is known, it is known whose tasks are hers.
    await processor.process(received(*sent[:split]))
    await forgotten.told(pool)
    await forgotten.drive(pool, await forgotten.begin(pool))
    late = received(*sent) * 3
    random.Random(split).shuffle(late)
    for change in late:
        await processor.process([change])

    # What another record mentions is stored as it says when it comes afterwards.
    rows = await forgotten.dump(pool)
    assert [row for _, row in forgotten.canaries_in(rows) if OTHER_TASK not in row] == []
    for query in (
        "SELECT record_id FROM change ORDER BY 1",
        "SELECT record_id FROM record ORDER BY 1",
    ):
        assert [row[0] for row in await pool.fetch(query)] == sorted([BOB, OTHER_TASK])
    standing = await pool.fetch(
        "SELECT sequence, recipient, generation, exited_generation FROM enrollment ORDER BY 1"
    )
    assert [tuple(row) for row in standing] == [
        ("alerts", "rep@example.com", 1, 0),
        ("nurture", "bob@example.com", 1, 0),
    ]
    fired = await pool.fetch("SELECT rule FROM firing WHERE record_id = $1 ORDER BY 1", BOB)
    assert [row[0] for row in fired] == ["owners", "qualified"]


async def test_a_target_that_has_the_person_hears_the_exit_before_the_row_goes(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    await pool.execute(
        "CREATE TABLE heard (kind text, recipient text);"
        "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO heard VALUES (NEW.kind, NEW.recipient); RETURN NULL; END $$;"
        "CREATE TRIGGER hears AFTER UPDATE ON outbox FOR EACH ROW"
        " WHEN (NEW.state = 'delivered' AND OLD.state = 'open') EXECUTE FUNCTION hear()"
    )
    await forgotten.drive(pool, await forgotten.begin(pool))
    assert [tuple(row) for row in await pool.fetch("SELECT * FROM heard")] == [("exit", ADA)]


def test_whom_nobody_can_be_is_refused() -> None:
    for emails, ids in (([], []), (["ada"], []), ([], ["00Q"])):
        with pytest.raises(WrongUsage):
            forget.named(ORG_ID, emails, ids)
