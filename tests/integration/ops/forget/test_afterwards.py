"""What comes in, or comes back, once somebody has been forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ops import bulk_runs, forget
from ops.bulk_runs import RunState
from tests import forgotten
from tests.changes import inserted, message, received
from tests.forgotten import ADA, BOB, CONTACT, LEAD, PERSON
from tests.salesforce import ORG_ID, callout, now_ms
from tests.snapshots import snapshot
from workers import tries
from workers.forgotten import without_forgotten
from workers.processor import Outcome, Processor
from workers.received import decode

if TYPE_CHECKING:
    from pipeline.database import Pool

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


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
