"""Who is forgotten is nowhere, comes back by nothing of before, and harms no neighbour."""

from __future__ import annotations

import asyncio
import random
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import bulk_runs, forget
from ops.bulk_runs import RunKind, RunState
from ops.errors import OpsError, WrongUsage
from ops.run_kinds import require_rights
from pipeline.database.access import Role
from tests import forgotten
from tests.changes import OTHER_ORG_ID, inserted, message, received
from tests.forgotten import ADA, BOB, CONTACT, LEAD, OTHER_TASK, PERSON, TASK
from tests.salesforce import ORG_ID, callout, now_ms
from tests.snapshots import snapshot
from workers import tries
from workers.forgotten import without_forgotten
from workers.processor import Outcome, Processor
from workers.received import decode

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.received import ReceivedChange

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
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


async def test_nothing_that_was_captured_before_comes_in_again(
    pool: Pool, processor: Processor
) -> None:
    sent = forgotten.callouts()
    await processor.process(received(*sent))
    await forgotten.told(pool)
    run = await forgotten.drive(pool, await forgotten.begin(pool))
    left = await forgotten.dump(pool)

    late = inserted({"Id": "00Q5g0000099999AAA", **PERSON, "Status": "Qualified"},
                    captured_at=now_ms() - 5000)  # fmt: skip
    resent = snapshot({"Id": LEAD, **PERSON, "Status": "Qualified"})
    task = {"Id": "00T5g0000088888AAA", "WhoId": LEAD[:15], "Subject": forgotten.CANARIES[1]}
    called = callout([{"new": task}], object="Task", operation="insert")
    whole = received(*sent, late, resent, called)
    for worker in (processor, Processor(pool, retention_days=90)):
        outcome = await worker.process(whole)
        assert outcome == Outcome(2, 0, 6)

    assert run.state is RunState.FINISHED
    assert await forgotten.dump(pool) == left


async def test_a_deletion_of_a_forgotten_record_does_not_bring_its_old_values(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    await forgotten.drive(pool, await forgotten.begin(pool))
    gone = callout([{"old": {"Id": LEAD, **PERSON}, "new": None}], operation="delete")
    # Of a deleted task nothing but what it was says whose it was.
    task = {"Id": "00T5g0000088888AAA", "WhoId": LEAD, "Subject": forgotten.CANARIES[1]}
    called_off = callout([{"old": task, "new": None}], object="Task", operation="delete")
    assert await processor.process(received(gone, called_off)) == Outcome(0, 0, 2)
    assert forgotten.canaries_in(await forgotten.dump(pool)) == []


async def test_no_dead_letter_is_kept_of_a_forgotten_person_by_a_worker_that_knew_of_none(
    pool: Pool,
) -> None:
    workers = [Processor(pool, retention_days=90) for _ in range(3)]
    for worker in workers:
        await worker.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    await forgotten.drive(pool, await forgotten.begin(pool))

    old = inserted({"Id": LEAD, **PERSON}, captured_at=now_ms() - 91 * DAY_MS)
    assert await workers[0].process(received(old)) == Outcome(0, 0, 1)
    # PostgreSQL refuses it before anything is written that has an epoch.
    (odd,) = received(inserted({"Id": CONTACT, **PERSON, "Score": "huge"}))
    odd = msgspec.structs.replace(odd, new=(odd.new or b"").replace(b'"huge"', b"1e999999"))
    (fine,) = received(inserted({"Id": BOB, "LastName": "Bob"}))
    assert await workers[1].process([odd, fine]) == Outcome(1, 0, 1)
    (suspect,) = received(inserted({"Id": LEAD, **PERSON}))
    async with pool.acquire() as connection:
        for _ in range(3):
            await tries.mark(connection, suspect)
    assert await workers[2].process_suspect(suspect) == Outcome(0, 0, 1)
    assert forgotten.canaries_in(await forgotten.dump(pool)) == []


@pytest.mark.parametrize("is_blocked", [False, True])
async def test_a_new_record_with_the_address_is_a_new_contact_unless_it_is_blocked(
    pool: Pool, processor: Processor, *, is_blocked: bool
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    keys = {row[0] for row in await pool.fetch("SELECT idempotency_key FROM outbox")}
    await forgotten.drive(pool, await forgotten.begin(pool, is_blocked=is_blocked))
    # As if an hour had gone by, up to which the address is forgotten.
    await pool.execute("UPDATE tombstone SET until = until - $1", 2 * HOUR_MS)

    new = inserted({"Id": "00Q5g0000077777AAA", **PERSON, "Status": "Qualified"})
    outcome = await processor.process(received(new))

    assert outcome == (Outcome(0, 0, 1) if is_blocked else Outcome(1, 0))
    told = await pool.fetch("SELECT idempotency_key FROM outbox WHERE recipient = $1", ADA)
    assert len(told) == (0 if is_blocked else 1)
    assert keys.isdisjoint(row[0] for row in told)


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


async def test_who_opted_out_stays_so_by_a_keyed_hash(pool: Pool, processor: Processor) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.leave_traces(pool)
    await forgotten.drive(pool, await forgotten.begin(pool))

    marks = {
        row[0]
        for row in await pool.fetch(
            "SELECT penstock_address_mark($1, $2) UNION SELECT penstock_address_mark('', $2)",
            ORG_ID,
            ADA,
        )
    }
    assert await pool.fetchval("SELECT address FROM opt_out WHERE opted_out") in marks
    assert await pool.fetchval("SELECT value FROM suppression") in marks


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


async def test_a_restored_database_forgets_again_by_kept_tombstones(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    async with pool.acquire() as connection:
        run = await forgotten.begin(pool)
        known = await forget.kept(connection)
        # As in a dump from before: she is there, and no tombstone is.
        await bulk_runs.cancel(connection, run.id, actor="dpo")
        await connection.execute("DELETE FROM tombstone")
        runs = await forget.again(connection, known, actor="dpo")
    for one in runs:
        await forgotten.drive(pool, one)
    assert forgotten.canaries_in(await forgotten.dump(pool)) == []


async def test_who_came_anew_before_the_backup_is_not_forgotten_again_by_a_kept_tombstone(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.told(pool)
    await forgotten.drive(pool, await forgotten.begin(pool))
    await pool.execute("UPDATE tombstone SET until = $1 WHERE until IS NOT NULL", now_ms() - 60_000)
    anew = {"Id": "00Q5g0000099999AAA", **PERSON, "Status": "Qualified"}
    assert await processor.process(received(inserted(anew))) == Outcome(1, 0)

    before = await forgotten.dump(pool)
    async with pool.acquire() as connection:
        known = await forget.kept(connection)
        assert await forget.again(connection, known, actor="dpo") == []
        # Erased once more since the backup: of that it has an earlier tombstone.
        later = [
            msgspec.structs.replace(one, until=one.until and now_ms()) for one in known.tombstones
        ]
        known = msgspec.structs.replace(known, tombstones=later)
        assert await forgotten.dump(pool) == before
        (run,) = await forget.again(connection, known, actor="dpo")
    await forgotten.drive(pool, run)
    assert forgotten.canaries_in(await forgotten.dump(pool)) == []


async def test_a_message_that_the_broker_gives_up_later_is_kept_without_the_person(
    pool: Pool, processor: Processor
) -> None:
    await processor.process(received(*forgotten.callouts()))
    await forgotten.drive(pool, await forgotten.begin(pool))
    whole = forgotten.dead_message()

    async with pool.acquire() as connection, connection.transaction():
        kept = await without_forgotten(connection, whole)
        assert kept is not None
        assert [one.record_id for one in decode(kept).changes] == [BOB]
        assert await without_forgotten(connection, kept) == kept
        alone = message(inserted({"Id": LEAD, **PERSON}))
        assert await without_forgotten(connection, alone) is None
        assert await without_forgotten(connection, b"no envelope") == b"no envelope"

    # An erasure that begins now waits for it, since it looked when there was no tombstone yet.
    async with pool.acquire() as connection, connection.transaction():
        await without_forgotten(connection, whole)
        assert await connection.fetchval("SELECT pg_current_xact_id_if_assigned()") is not None


def test_whom_nobody_can_be_is_refused() -> None:
    for emails, ids in (([], []), (["ada"], []), ([], ["00Q"])):
        with pytest.raises(WrongUsage):
            forget.named(ORG_ID, emails, ids)
