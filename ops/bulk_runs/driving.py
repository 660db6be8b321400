"""Driving a run: one step after another, each in a transaction of its own, at a rate.

A step holds the run's row, so that pausing and cancelling wait for it, and nothing happens once
they have returned. The lease lets another process take up a run whose driver died; the fence keeps
a driver that lost its lease from doing one step more.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    wait_exponential,
    wait_random,
)

from ops.bulk_runs.model import RunState
from ops.bulk_runs.store import COLUMNS, run_of, show
from ops.errors import OpsError
from pipeline.database import DATABASE_ERRORS
from pipeline.errors import Kind, TransientError, blames_statement, classify
from pipeline.lifecycle import wait_or_stop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ops.bulk_runs.model import BulkRun, Work
    from pipeline.database import Pool

# A driver that died is missed after this; one that lives renews it with every step.
LEASE_S: Final = 10.0
# Aimed at: pausing answers within about this, and the bar moves.
_STEP_S: Final = 0.25
_NOTHING_DONE_S: Final = 0.2
_MAX_ERROR_CHARS: Final = 2000
# A frozen driver does not keep others from the run for ever.
_LIMIT_IDLE: Final = "SET LOCAL idle_in_transaction_session_timeout = '30s'"

_TAKE: Final = """
    UPDATE bulk_run
    SET fence = fence + 1, driven_by = $2,
        leased_until = clock_timestamp() + make_interval(secs => $3)
    WHERE run_id = $1 AND state = 'running'
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
    RETURNING fence"""
_LOCK: Final = f"""
    SELECT {COLUMNS} FROM bulk_run WHERE run_id = $1 AND fence = $2 AND state = 'running'
    FOR NO KEY UPDATE"""  # noqa: S608  our own columns
_ADVANCE: Final = f"""
    UPDATE bulk_run
    SET cursor = $2::text::jsonb, done_count = done_count + $3, skipped_count = skipped_count + $4,
        failed_count = failed_count + $5, state = $6,
        settled_at = CASE WHEN $6 = 'finished' THEN clock_timestamp() END,
        leased_until = clock_timestamp() + make_interval(secs => $7)
    WHERE run_id = $1 RETURNING {COLUMNS}"""  # noqa: S608  our own columns
_RENEW: Final = """
    UPDATE bulk_run SET leased_until = clock_timestamp() + make_interval(secs => $3)
    WHERE run_id = $1 AND fence = $2 AND state = 'running'"""
_FAIL: Final = """
    UPDATE bulk_run SET state = 'failed', error = $3, driven_by = NULL, leased_until = NULL
    WHERE run_id = $1 AND fence = $2 AND state = 'running'"""
_LET_GO: Final = """
    UPDATE bulk_run SET driven_by = NULL, leased_until = NULL WHERE run_id = $1 AND fence = $2"""


class RunFailed(OpsError):
    """A step failed for good. The run keeps its place and can be resumed."""


async def drive(  # noqa: PLR0913  a run, its work, and the two ends of a conversation
    pool: Pool,
    run_id: int,
    work: Work,
    stop: asyncio.Event,
    *,
    driver: str,
    tell: Callable[[BulkRun, str | None], None],
) -> BulkRun:
    """Drive a run until it is over, no longer running, or `stop`; return it as it then is.

    `driver` says to others who drives it. `tell` gets the run after each step, with None, and
    whenever it is held, with the reason. After `stop` it says running still, and nobody drives it.

    Raises:
        OpsError: it is not running, or another process drives it, or has taken it over.
        RunFailed: a step failed for good; the run is `failed` now.
    """
    lease = await _take(pool, run_id, driver)
    run = lease.run

    async def sleep(seconds: float) -> None:
        await wait_or_stop(stop, seconds)

    async def hold(state: RetryCallState) -> None:
        tell(run, repr(state.outcome.exception()) if state.outcome else None)
        await _renew(pool, lease)

    retrying = AsyncRetrying(
        retry=retry_if_exception(_is_transient),
        wait=wait_exponential(multiplier=0.1, max=4.5) + wait_random(0, 0.5),
        stop=lambda _: stop.is_set(),
        sleep=sleep,
        before_sleep=hold,
    )
    pause_s: float
    try:
        while run.state is RunState.RUNNING and not stop.is_set():
            started = time.monotonic()
            run, pause_s = await retrying(_step, pool, lease, work)
            tell(run, None)
            if run.state is RunState.RUNNING:
                await wait_or_stop(stop, max(0.0, pause_s - (time.monotonic() - started)))
    except RetryError:
        # Stopped while it was held: nothing of the step was committed.
        pass
    except OpsError:
        raise
    except Exception as error:
        await pool.execute(_FAIL, run_id, lease.fence, repr(error)[:_MAX_ERROR_CHARS])
        raise RunFailed(f"run {run_id} failed: {error!r}") from error
    finally:
        # If the database is away now, the lease lapses by itself.
        with contextlib.suppress(*DATABASE_ERRORS):
            await pool.execute(_LET_GO, run_id, lease.fence)
    async with pool.acquire() as connection:
        return await show(connection, run_id)


class _Lease(NamedTuple):
    """The right to drive a run: good until its row shows another fence."""

    run: BulkRun
    fence: int


async def _take(pool: Pool, run_id: int, driver: str) -> _Lease:
    async with pool.acquire() as connection:
        row = await connection.fetchrow(_TAKE, run_id, driver, LEASE_S)
        run = await show(connection, run_id)
    if row is not None:
        return _Lease(run, row["fence"])
    if run.state is RunState.RUNNING:
        raise OpsError(f"run {run_id} is under way already, driven by {run.driven_by}")
    raise OpsError(f"run {run_id} is {run.state}: `penstock runs resume {run_id}`")


async def _step(pool: Pool, lease: _Lease, work: Work) -> tuple[BulkRun, float]:
    """Do one step, if the run is still ours to drive; return it and how long the step may last."""
    run_id = lease.run.id
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_LIMIT_IDLE)
        row = await connection.fetchrow(_LOCK, run_id, lease.fence)
        if row is None:
            run = await show(connection, run_id)
            if run.state is RunState.RUNNING:
                raise OpsError(f"run {run_id} was taken over by {run.driven_by}")
            return run, 0.0
        before = run_of(row)
        limit = max(1, min(work.step_count, int(before.rate_per_s * _STEP_S)))
        step = await work.step(connection, before, limit)
        state = RunState.FINISHED if step.is_last else RunState.RUNNING
        row = await connection.fetchrow(
            _ADVANCE,
            run_id,
            msgspec.json.encode(step.cursor).decode(),
            step.done_count,
            step.skipped_count,
            step.failed_count,
            state.value,
            LEASE_S,
        )
    after = run_of(row)
    moved = after.handled_count - before.handled_count
    if moved == 0 and after.cursor == before.cursor:
        return after, _NOTHING_DONE_S
    return after, moved / before.rate_per_s


async def _renew(pool: Pool, lease: _Lease) -> None:
    # It may be the database that the run is held for: then nobody else can take it either.
    with contextlib.suppress(*DATABASE_ERRORS):
        await pool.execute(_RENEW, lease.run.id, lease.fence, LEASE_S)


def _is_transient(error: BaseException) -> bool:
    known = isinstance(error, (TransientError, *DATABASE_ERRORS))
    return known and classify(error) is Kind.TRANSIENT and not blames_statement(error)
