"""Runs are driven by one process at a time, and end, pause and go on without loss or doubling."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from ops import actions, bulk_runs
from ops.actions import Action
from ops.bulk_runs import BulkRun, RunFailed, RunKind, RunState, Step
from ops.errors import OpsError
from pipeline.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.database import Connection, Pool

ACTOR: Final = "ana@desk"
FAST: Final = 1_000_000
HANDLED: Final = "SELECT n FROM handled ORDER BY n"


class Numbers:
    """Writes down the numbers below a total, one page a step; does first what a test wants."""

    step_count = 10

    def __init__(self, total: int, *before: Callable[[int], Exception | None]) -> None:
        self._total = total
        self._before = before

    async def step(self, connection: Connection, run: BulkRun, limit: int) -> Step:
        first = run.cursor.get("next", 0)
        last = min(first + limit, self._total)
        await connection.execute(
            "INSERT INTO handled SELECT n FROM generate_series($1::int, $2::int - 1) AS n",
            first,
            last,
        )
        for before in self._before:
            if error := before(first):
                raise error
        return Step({"next": last}, done_count=last - first, is_last=last == self._total)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database_url, min_size=0, max_size=4) as pool:
        # Not unique: a number that was handled twice shows.
        await pool.execute("CREATE TABLE handled (n integer)")
        yield pool


async def begin(pool: Pool, total: int = 35, rate_per_s: int = FAST) -> BulkRun:
    async with pool.acquire() as connection:
        return await bulk_runs.create(
            connection,
            RunKind.DEAD_DISCARD,
            actor=ACTOR,
            parameters={"up_to": total},
            total_count=total,
            rate_per_s=rate_per_s,
        )


async def drive(
    pool: Pool,
    run: BulkRun,
    work: Numbers,
    *,
    stop: asyncio.Event | None = None,
    tell: Callable[[BulkRun, str | None], None] = lambda _run, _held_for: None,
) -> BulkRun:
    async with asyncio.timeout(20):
        return await bulk_runs.drive(
            pool, run.id, work, stop or asyncio.Event(), driver="test", tell=tell
        )


async def handled(pool: Pool) -> list[int]:
    return [row["n"] for row in await pool.fetch(HANDLED)]


@asynccontextmanager
async def driving_until(
    pool: Pool, run: BulkRun, work: Numbers
) -> AsyncIterator[asyncio.Task[BulkRun]]:
    """Drive in a task, of which one step at least is done."""
    begun = asyncio.Event()
    task = asyncio.create_task(drive(pool, run, work, tell=lambda _run, _held_for: begun.set()))
    await begun.wait()
    yield task


async def test_a_run_handles_each_thing_once_and_tells_how_far_it_is(pool: Pool) -> None:
    told: list[int] = []
    run = await begin(pool)
    assert (run.state, run.driven_by, run.total_count) == (RunState.RUNNING, None, 35)

    ended = await drive(pool, run, Numbers(35), tell=lambda run, _: told.append(run.done_count))

    assert await handled(pool) == list(range(35))
    assert told == [10, 20, 30, 35]
    assert (ended.state, ended.done_count, ended.driven_by) == (RunState.FINISHED, 35, None)
    assert ended.settled_at is not None
    async with pool.acquire() as connection:
        (row,) = await actions.listing(connection, limit=10)
    assert (row.actor, row.action, row.run_id) == (ACTOR, Action.DEAD_DISCARD, run.id)
    assert (row.parameters, row.outcome) == ({"up_to": 35}, "finished, 35 done")


async def test_a_paused_run_stays_where_it_is_and_goes_on_there(pool: Pool) -> None:
    run = await begin(pool, total=1000, rate_per_s=100)
    async with driving_until(pool, run, Numbers(1000)) as task, pool.acquire() as connection:
        paused = await bulk_runs.pause(connection, run.id, actor=ACTOR)
        # Nothing more is done once pausing has returned.
        assert len(await handled(pool)) == paused.done_count < 1000
        assert await task == paused
        await connection.execute("UPDATE bulk_run SET rate_per_s = $1", FAST)
        resumed = await bulk_runs.resume(connection, run.id, actor="ben@desk")
    assert resumed.done_count == paused.done_count

    assert (await drive(pool, run, Numbers(1000))).state is RunState.FINISHED
    assert await handled(pool) == list(range(1000))
    async with pool.acquire() as connection:
        rows = await actions.listing(connection, limit=10)
    assert [(row.action, row.actor) for row in rows] == [
        (Action.RUN_RESUME, "ben@desk"),
        (Action.RUN_PAUSE, ACTOR),
        (Action.DEAD_DISCARD, ACTOR),
    ]


async def test_a_cancelled_run_is_left_so(pool: Pool) -> None:
    run = await begin(pool, total=1000, rate_per_s=100)
    async with driving_until(pool, run, Numbers(1000)) as task, pool.acquire() as connection:
        cancelled = await bulk_runs.cancel(connection, run.id, actor=ACTOR)
        assert await task == cancelled
        assert len(await handled(pool)) == cancelled.done_count < 1000
        for move in (bulk_runs.pause, bulk_runs.resume, bulk_runs.cancel):
            with pytest.raises(OpsError, match="is cancelled, so it cannot be"):
                await move(connection, run.id, actor=ACTOR)


async def test_stopping_leaves_a_run_that_nobody_drives(pool: Pool) -> None:
    run = await begin(pool)
    stop = asyncio.Event()
    left = await drive(pool, run, Numbers(35), stop=stop, tell=lambda _run, _held_for: stop.set())
    assert (left.state, left.driven_by, left.done_count) == (RunState.RUNNING, None, 10)
    async with pool.acquire() as connection:
        assert await bulk_runs.unfinished(connection, run.kind) == [left]
        assert await bulk_runs.unfinished(connection, RunKind.FORGET) == []
        assert await bulk_runs.resume(connection, run.id, actor=ACTOR) == left
    await drive(pool, run, Numbers(35))
    assert await handled(pool) == list(range(35))
    async with pool.acquire() as connection:
        assert await bulk_runs.unfinished(connection, run.kind) == []


async def test_one_process_drives_a_run_and_no_other_takes_it(pool: Pool) -> None:
    run = await begin(pool, total=1000, rate_per_s=100)
    async with driving_until(pool, run, Numbers(1000)) as task, pool.acquire() as connection:
        with pytest.raises(OpsError, match="driven by test"):
            await drive(pool, run, Numbers(1000))
        with pytest.raises(OpsError, match="driven by test"):
            await bulk_runs.resume(connection, run.id, actor=ACTOR)
        await bulk_runs.cancel(connection, run.id, actor=ACTOR)
        await task


async def test_a_run_whose_lease_lapsed_is_taken_over_and_its_old_driver_stops(pool: Pool) -> None:
    run = await begin(pool, total=200, rate_per_s=40)
    async with driving_until(pool, run, Numbers(200)) as task:
        # As after a freeze that is longer than the lease.
        await pool.execute("UPDATE bulk_run SET leased_until = now(), rate_per_s = $1", FAST)
        assert (await drive(pool, run, Numbers(200))).state is RunState.FINISHED
        assert (await task).state is RunState.FINISHED
    assert await handled(pool) == list(range(200))


async def test_what_is_transient_is_held_and_nothing_of_its_step_stays(pool: Pool) -> None:
    errors = [BrokerUnavailable("away"), asyncpg.DeadlockDetectedError("again")]
    held_for: list[str] = []

    def fail(first: int) -> Exception | None:
        return errors.pop() if first == 10 and errors else None

    run = await begin(pool)
    ended = await drive(
        pool, run, Numbers(35, fail), tell=lambda _, held: held_for.append(held) if held else None
    )
    assert [text.partition("(")[0] for text in held_for] == [
        "DeadlockDetectedError",
        "BrokerUnavailable",
    ]
    assert (ended.state, ended.done_count) == (RunState.FINISHED, 35)
    assert await handled(pool) == list(range(35))


@pytest.mark.parametrize(
    "error",
    [
        KeyError("no such thing"),
        # A statement that no row is to blame for: the same one is refused for ever.
        asyncpg.CardinalityViolationError("no such thing"),
        asyncpg.InsufficientPrivilegeError("no such thing"),
    ],
)
async def test_what_is_not_transient_fails_the_run_which_keeps_its_place(
    pool: Pool, error: Exception
) -> None:
    run = await begin(pool)
    with pytest.raises(RunFailed, match="no such thing"):
        await drive(pool, run, Numbers(35, lambda first: error if first else None))
    async with pool.acquire() as connection:
        failed = await bulk_runs.show(connection, run.id)
        assert (failed.state, failed.done_count) == (RunState.FAILED, 10)
        assert failed.error == f"{type(error).__name__}('no such thing')"
        await bulk_runs.resume(connection, run.id, actor=ACTOR)
    assert (await drive(pool, run, Numbers(35))).error is None
    assert await handled(pool) == list(range(35))


async def test_a_run_keeps_to_its_rate(pool: Pool) -> None:
    run = await begin(pool, total=30, rate_per_s=100)
    started = asyncio.get_running_loop().time()
    await drive(pool, run, Numbers(30))
    # Steps of 10, the last of which nothing waits for.
    assert asyncio.get_running_loop().time() - started >= 0.2


async def test_pages_of_runs_go_on_where_the_last_one_ended(pool: Pool) -> None:
    begun = [await begin(pool) for _ in range(3)]
    async with pool.acquire() as connection:
        await bulk_runs.cancel(connection, begun[1].id, actor=ACTOR)
        first = await bulk_runs.listing(connection, limit=2)
        rest = await bulk_runs.listing(connection, limit=2, before_id=first[-1].id)
        assert [run.id for run in first + rest] == [run.id for run in reversed(begun)]
        is_open = await bulk_runs.listing(connection, limit=9, states=bulk_runs.OPEN)
        assert [run.id for run in is_open] == [begun[2].id, begun[0].id]
        with pytest.raises(OpsError, match="there is no run 99"):
            await bulk_runs.show(connection, 99)


def test_every_kind_of_run_has_an_action_of_its_name() -> None:
    assert {kind.value for kind in RunKind} <= {action.value for action in Action}
