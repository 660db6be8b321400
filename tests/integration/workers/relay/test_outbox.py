"""Claims are fenced leases, in order for each recipient, disjoint between relays."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.outbox_rows import add, elapse, leave, standing, told, treat
from tests.salesforce import ORG_ID
from workers.relay import outbox, sql

if TYPE_CHECKING:
    from pipeline.database import Pool
    from workers.relay.claim import Claim

FENCED = "state, attempts, last_error, due_at <= now()"
NAMES = ("ana@x.org", "bo@x.org", "cy@x.org", "di@x.org")
BACKLOG = """
    INSERT INTO outbox (generation, kind, org_id, sequence, target, recipient, idempotency_key,
                        state, due_at)
    SELECT 1, 'add', $6, $1, $2, 'r' || n, gen_random_uuid(), $3,
           now() + make_interval(secs => $4)
    FROM generate_series(1, $5::integer) AS n"""


async def claim(pool: Pool, limit: int = 100, lease_s: float = 60.0) -> list[Claim]:
    return await outbox.claim(pool, limit=limit, lease_s=lease_s)


def lines(claims: list[Claim]) -> list[tuple[str, str | None]]:
    return sorted((one.recipient, one.sequence) for one in claims)


@pytest.fixture
async def enrolled(pool: Pool) -> None:
    """Four people, each of them in two sequences."""
    await add(pool, *NAMES)
    await add(pool, *NAMES, sequence="welcome")


@pytest.mark.usefixtures("enrolled")
async def test_only_the_oldest_open_row_of_a_recipient_is_claimed(pool: Pool) -> None:
    first = await claim(pool)
    assert lines(first) == [(name, "nurture") for name in NAMES]
    assert {one.attempt for one in first} == {1}
    assert await claim(pool) == []

    await outbox.delivered(pool, first[0])
    await outbox.settle(pool, [outbox.refusal(first[1], "no")])
    await outbox.settle(pool, [outbox.retry(first[2], "later", pause_s=60, is_known=True)])
    assert lines(await claim(pool)) == [(name, "welcome") for name in NAMES[:2]]
    assert (await standing(pool))[:4] == [
        (NAMES[0], "active", None),
        (NAMES[1], "failed", "no"),
        (NAMES[2], "pending", None),
        (NAMES[3], "pending", None),
    ]


@pytest.mark.usefixtures("enrolled")
async def test_a_relay_that_comes_back_late_settles_nothing(pool: Pool) -> None:
    (late,) = await claim(pool, limit=1)
    await elapse(pool)
    again = {one.outbox_id: one for one in await claim(pool)}[late.outbox_id]
    assert again.attempt == 2
    assert again.idempotency_key == late.idempotency_key

    await outbox.settle(pool, [outbox.refusal(late, "too late")])
    await outbox.settle(pool, [outbox.retry(late, "too late", pause_s=0, is_known=True)])
    await outbox.superseded(pool, late)
    assert (await told(pool, FENCED))[0] == ("open", 2, None, False)
    assert {state for _, state, _ in await standing(pool)} == {"pending"}

    await outbox.delivered(pool, again)
    await outbox.settle(pool, [outbox.refusal(again, "once is enough")])
    assert (await told(pool, FENCED))[0] == ("delivered", 2, None, False)
    assert [state for _, state, _ in await standing(pool)].count("active") == 1


@pytest.mark.usefixtures("enrolled")
async def test_a_row_given_back_is_due_after_its_pause(pool: Pool) -> None:
    (held,) = await claim(pool, limit=1)
    await outbox.settle(pool, [outbox.retry(held, "down", pause_s=3600, is_known=True)])
    assert (await told(pool, FENCED))[0] == ("open", 1, "down", False)
    ((pause_s,), *_) = await told(pool, "extract(epoch FROM due_at - now())::float8")
    assert 3590 < pause_s <= 3600


async def test_an_attempt_without_an_answer_is_remembered_until_one_comes(pool: Pool) -> None:
    await add(pool, "ana@x.org")
    for is_known, was_unanswered in ((True, False), (False, False), (True, True), (True, True)):
        (one,) = await claim(pool)
        assert one.was_unanswered is was_unanswered
        await outbox.settle(pool, [outbox.retry(one, "held", pause_s=0, is_known=is_known)])


async def test_a_relay_that_died_leaves_an_attempt_without_an_answer(pool: Pool) -> None:
    await add(pool, "ana@x.org")
    assert not (await claim(pool))[0].was_unanswered
    await elapse(pool)
    assert (await claim(pool))[0].was_unanswered


@pytest.mark.usefixtures("enrolled")
async def test_what_comes_back_while_it_is_set_aside_is_told_after_all(pool: Pool) -> None:
    await pool.execute("UPDATE enrollment SET state = 'exited'")
    back, gone = (await claim(pool))[:2]
    assert back.is_superseded
    assert gone.is_superseded
    await pool.execute(
        "UPDATE enrollment SET state = 'pending' WHERE recipient = $1", back.recipient
    )
    await outbox.superseded(pool, back, gone)

    (again,) = [one for one in await claim(pool) if not one.is_superseded]
    assert again.outbox_id == back.outbox_id
    assert again.attempt == 1
    states = await told(pool, "outbox_id, state")
    assert [row for row in states if row[1] == "superseded"] == [(gone.outbox_id, "superseded")]


@pytest.mark.usefixtures("enrolled")
async def test_who_is_forgotten_while_rows_are_set_aside_keeps_none_of_them_from_being_settled(
    pool: Pool,
) -> None:
    await pool.execute("UPDATE enrollment SET state = 'exited'")
    left, gone = (await claim(pool))[:2]
    for table in ("outbox", "enrollment"):
        await pool.execute(f"DELETE FROM {table} WHERE recipient = $1", gone.recipient)  # noqa: S608  a name above

    await outbox.superseded(pool, left, gone)
    states = await told(pool, "outbox_id, state")
    assert [row for row in states if row[1] == "superseded"] == [(left.outbox_id, "superseded")]


async def test_an_exit_is_told_if_its_add_was_and_only_then(pool: Pool) -> None:
    (ana,) = await add(pool, "ana@x.org")
    (told_of_ana,) = await claim(pool)
    await outbox.delivered(pool, told_of_ana)
    (bo,) = await add(pool, "bo@x.org")
    await leave(pool, ana, bo)

    claims = {(one.recipient, one.kind.value): one for one in await claim(pool)}
    assert not claims["ana@x.org", "exit"].is_superseded
    assert claims["bo@x.org", "add"].is_superseded
    await outbox.superseded(pool, claims["bo@x.org", "add"])
    await outbox.delivered(pool, claims["ana@x.org", "exit"])
    (exit_of_bo,) = await claim(pool)
    assert exit_of_bo.is_superseded
    assert [state for _, state, _ in await standing(pool)] == ["exited", "exited"]


async def test_an_exit_is_told_if_nobody_knows_what_became_of_its_add(pool: Pool) -> None:
    (ana,) = await add(pool, "ana@x.org")
    # The relay that had it died before it could say whether the target took it.
    await claim(pool)
    await leave(pool, ana)
    await elapse(pool)
    (add_of_ana,) = await claim(pool)
    assert add_of_ana.is_superseded
    await outbox.superseded(pool, add_of_ana)
    (exit_of_ana,) = await claim(pool)
    assert not exit_of_ana.is_superseded


async def test_an_exit_ends_an_earlier_generation_that_the_target_still_has(pool: Pool) -> None:
    await add(pool, "ana@x.org")
    (first,) = await claim(pool)
    await outbox.delivered(pool, first)
    # A rule enrols again without an exit in between, and the record is gone before that is told.
    (ana,) = await add(pool, "ana@x.org", generation=2)
    await leave(pool, ana)
    (second,) = await claim(pool)
    assert second.is_superseded
    await outbox.superseded(pool, second)
    (exit_of_ana,) = await claim(pool)
    assert not exit_of_ana.is_superseded
    await outbox.delivered(pool, exit_of_ana)

    # What that exit ended is not ended again.
    await add(pool, "ana@x.org", generation=3)
    await leave(pool, ana)
    (third,) = await claim(pool)
    await outbox.superseded(pool, third)
    (last_exit,) = await claim(pool)
    assert last_exit.is_superseded


async def test_what_its_own_exit_ended_is_not_ended_again_by_that_of_the_next(pool: Pool) -> None:
    (ana,) = await add(pool, "ana@x.org")
    await outbox.delivered(pool, *await claim(pool))
    await leave(pool, ana)
    await outbox.delivered(pool, *await claim(pool))
    await add(pool, "ana@x.org", generation=2)
    await leave(pool, ana)
    (second,) = await claim(pool)
    await outbox.superseded(pool, second)
    (exit_of_second,) = await claim(pool)
    assert exit_of_second.is_superseded


async def test_an_add_at_another_target_does_not_take_an_exits_place(pool: Pool) -> None:
    (ana,) = await add(pool, "ana@x.org")
    await outbox.delivered(pool, *await claim(pool))
    await leave(pool, ana)
    # Operators moved the sequence, and a rule enrols again before the exit is told.
    await add(pool, "ana@x.org", generation=2, target="mixmax")
    await outbox.delivered(pool, *await outbox.claim(pool, limit=1, lease_s=60.0, target="mixmax"))
    (exit_of_ana,) = await claim(pool)
    assert not exit_of_ana.is_superseded


async def test_a_held_add_holds_its_own_exit_and_nothing_of_other_sequences(pool: Pool) -> None:
    (ana,) = await add(pool, "ana@x.org", state="held")
    await leave(pool, ana)
    await add(pool, "ana@x.org", sequence="welcome")
    assert lines(await claim(pool)) == [("ana@x.org", "welcome")]


async def test_a_paused_sequence_stops_nobody_elses_rows(pool: Pool) -> None:
    await add(pool, "ana@x.org")
    await add(pool, "ana@x.org", sequence="welcome")
    await treat(pool, paused=True)
    assert lines(await claim(pool)) == [("ana@x.org", "welcome")]
    await treat(pool, paused=False)
    await elapse(pool)
    assert lines(await claim(pool)) == [("ana@x.org", "nurture")]


@pytest.mark.parametrize("target", ["all", "webhook"])
async def test_what_is_stopped_is_not_claimed_until_it_is_resumed(pool: Pool, target: str) -> None:
    await add(pool, "ana@x.org")
    assert await outbox.due_targets(pool) == ["webhook"]
    await outbox.stop_target(pool, target, "an operator")
    await outbox.stop_target(pool, "mixmax", "another")
    assert await claim(pool) == []
    assert await outbox.due_targets(pool) == []
    await pool.execute("DELETE FROM relay_stop WHERE target = $1", target)
    assert len(await claim(pool)) == 1


async def test_a_long_line_does_not_starve_a_short_one(pool: Pool) -> None:
    await add(pool, "first@x.org", sequence="long")
    await pool.execute(BACKLOG, "long", "webhook", "open", -60.0, 1000, ORG_ID)
    await add(pool, "ana@x.org", sequence="short")
    assert "short" in {one.sequence for one in await claim(pool, limit=4)}


async def test_relays_that_claim_at_once_never_get_the_same_row(pool: Pool) -> None:
    await add(pool, *(f"lead{number}@x.org" for number in range(200)))

    async def relay() -> list[int]:
        mine: list[int] = []
        while claims := await claim(pool, limit=7):
            mine += [one.outbox_id for one in claims]
        return mine

    taken = [one for mine in await asyncio.gather(*(relay() for _ in range(6))) for one in mine]
    assert len(taken) == len(set(taken))
    await elapse(pool)
    assert len(await claim(pool, limit=1000)) == 200
    assert len(taken) == 200


async def plan(pool: Pool, query: str, *arguments: object) -> str:
    return "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {query}", *arguments))


async def test_a_claim_reads_its_indexes_however_much_waits(pool: Pool) -> None:
    await add(pool, "ana@x.org")
    await pool.execute(BACKLOG, "nurture", "webhook", "open", -60.0, 10_000, ORG_ID)
    await pool.execute(BACKLOG, "told", "webhook", "delivered", -60.0, 10_000, ORG_ID)
    await pool.execute("ANALYZE outbox")

    claims = await plan(pool, sql.CLAIM, "webhook", 50, 60.0)
    assert "using outbox_open on" in claims
    assert "outbox_waiting_by_recipient" in claims
    for text in (claims, await plan(pool, sql.DUE_TARGETS)):
        assert "Seq Scan on outbox" not in text, text


@pytest.mark.parametrize(
    ("sequence", "target"), [("nurture", "webhook"), ("paused", "webhook"), ("nurture", "mixmax")]
)
async def test_a_hundred_thousand_open_rows_do_not_slow_claims(
    pool: Pool, sequence: str, target: str
) -> None:
    await treat(pool, sequence="paused", paused=True)
    await add(pool, "ana@x.org")
    await pool.execute(BACKLOG, sequence, target, "open", -60.0, 100_000, ORG_ID)
    await pool.execute("ANALYZE outbox")
    took_s = []
    for number in range(5):
        await add(pool, f"bo{number}@x.org", sequence="other")
        started = time.perf_counter()
        await outbox.due_targets(pool)
        claims = await claim(pool, limit=12)
        took_s.append(time.perf_counter() - started)
        assert f"bo{number}@x.org" in {one.recipient for one in claims}
    assert sorted(took_s)[2] < 0.1


async def test_rows_that_wait_for_others_are_passed_once_and_come_when_those_are_settled(
    pool: Pool,
) -> None:
    await add(pool, "ana@x.org")
    (under_way,) = await claim(pool)
    await pool.execute(BACKLOG, "other", "webhook", "open", -60.0, 10_000, ORG_ID)
    await pool.execute("UPDATE outbox SET recipient = 'ana@x.org'")
    await add(pool, "bo@x.org", sequence="short")
    await pool.execute("ANALYZE outbox")

    assert lines(await claim(pool, limit=12)) == [("bo@x.org", "short")]
    waiting = "SELECT count(*) FROM outbox WHERE due_at > now() AND attempts = 0"
    pages = 0
    while await pool.fetchval(waiting) < 10_000:
        assert await claim(pool, limit=12) == []
        pages += 1
    assert pages <= 5

    await outbox.delivered(pool, under_way)
    assert lines(await claim(pool, limit=12)) == [("ana@x.org", "other")]
