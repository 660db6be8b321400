"""The runs as rows: begun, listed, paused, resumed, cancelled. Driving them is `driving`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops import actions
from ops.actions import Action
from ops.bulk_runs.model import OPEN, BulkRun, RunKind, RunState
from ops.errors import OpsError
from ops.times import with_iso_times

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from asyncpg import Record

    from pipeline.database import Connection

# `driven_by` is nobody once the lease has lapsed.
COLUMNS: Final = """run_id AS id, kind, state, created_by, created_at, parameters::text,
    cursor::text, total_count, done_count, skipped_count, failed_count, rate_per_s,
    CASE WHEN leased_until > clock_timestamp() THEN driven_by END AS driven_by, error, settled_at"""
_CREATE: Final = f"""
    INSERT INTO bulk_run (kind, created_by, parameters, total_count, rate_per_s)
    VALUES ($1, $2, $3::text::jsonb, $4, $5) RETURNING {COLUMNS}"""  # noqa: S608  our own columns
_LIST: Final = f"""
    SELECT {COLUMNS} FROM bulk_run
    WHERE ($1::bigint IS NULL OR run_id < $1) AND ($2::text[] IS NULL OR state = ANY($2))
    ORDER BY run_id DESC LIMIT $3"""  # noqa: S608  our own columns
_SHOW: Final = f"SELECT {COLUMNS} FROM bulk_run WHERE run_id = $1"  # noqa: S608  our own columns
_UNFINISHED: Final = f"""
    SELECT {COLUMNS} FROM bulk_run WHERE kind = $1 AND state = ANY($2::text[])
    ORDER BY run_id"""  # noqa: S608  our own columns
# Waits for the step under way, which holds the row. Whoever drives it has lost it: what is resumed
# is taken up at once.
_MOVE: Final = f"""
    UPDATE bulk_run
    SET state = $2, driven_by = NULL, leased_until = NULL, error = NULL,
        settled_at = CASE WHEN $2 = 'cancelled' THEN clock_timestamp() END
    WHERE run_id = $1 AND state = ANY($3::text[]) RETURNING {COLUMNS}"""  # noqa: S608  our columns


async def create(  # noqa: PLR0913  what a run consists of
    connection: Connection,
    kind: RunKind,
    *,
    actor: str,
    parameters: Mapping[str, object],
    total_count: int | None,
    rate_per_s: int,
) -> BulkRun:
    """Begin a run and write down who did; nobody drives it yet.

    `parameters` holds no secret and no value of a record.
    """
    text = msgspec.json.encode(parameters).decode()
    async with connection.transaction():
        row = await connection.fetchrow(_CREATE, kind.value, actor, text, total_count, rate_per_s)
        run = run_of(row)
        await actions.record(
            connection, Action(kind.value), actor=actor, parameters=parameters, run_id=run.id
        )
    return run


async def listing(
    connection: Connection,
    *,
    limit: int,
    before_id: int | None = None,
    states: Collection[RunState] | None = None,
) -> list[BulkRun]:
    """Return runs, newest first; `before_id` is the last one's of the page before."""
    wanted = None if states is None else [state.value for state in states]
    return [run_of(row) for row in await connection.fetch(_LIST, before_id, wanted, limit)]


async def show(connection: Connection, run_id: int) -> BulkRun:
    """Return one run.

    Raises:
        OpsError: there is none of that id.
    """
    row = await connection.fetchrow(_SHOW, run_id)
    if row is None:
        raise OpsError(f"there is no run {run_id}: `penstock runs list`")
    return run_of(row)


async def unfinished(connection: Connection, kind: RunKind) -> list[BulkRun]:
    """Return the runs of a kind that are neither finished nor cancelled, oldest first."""
    states = [state.value for state in OPEN]
    return [run_of(row) for row in await connection.fetch(_UNFINISHED, kind.value, states)]


async def pause(connection: Connection, run_id: int, *, actor: str) -> BulkRun:
    """Stop a run after the step under way; return once that is done.

    Raises:
        OpsError: there is none of that id, or it does not run.
    """
    return await _move(connection, run_id, RunState.PAUSED, {RunState.RUNNING}, actor)


async def resume(connection: Connection, run_id: int, *, actor: str) -> BulkRun:
    """Let a paused or failed run go on where it stopped; somebody has to drive it.

    One that says running while nobody drives it is returned as it is.

    Raises:
        OpsError: there is none of that id, it is over, or another process drives it.
    """
    run = await show(connection, run_id)
    if run.state is RunState.RUNNING:
        if run.driven_by is not None:
            raise OpsError(f"run {run_id} is under way already, driven by {run.driven_by}")
        await actions.record(
            connection, Action.RUN_RESUME, actor=actor, parameters={}, run_id=run_id
        )
        return run
    return await _move(
        connection, run_id, RunState.RUNNING, {RunState.PAUSED, RunState.FAILED}, actor
    )


async def cancel(connection: Connection, run_id: int, *, actor: str) -> BulkRun:
    """End a run after the step under way; what it has done stays done, the rest is untouched.

    Raises:
        OpsError: there is none of that id, or it is over.
    """
    return await _move(connection, run_id, RunState.CANCELLED, OPEN, actor)


async def _move(
    connection: Connection,
    run_id: int,
    state: RunState,
    from_states: Collection[RunState],
    actor: str,
) -> BulkRun:
    async with connection.transaction():
        allowed = [one.value for one in from_states]
        row = await connection.fetchrow(_MOVE, run_id, state.value, allowed)
        if row is None:
            run = await show(connection, run_id)
            raise OpsError(f"run {run_id} is {run.state}, so it cannot be {_TOLD[state]}")
        await actions.record(connection, _ACTIONS[state], actor=actor, parameters={}, run_id=run_id)
    return run_of(row)


_ACTIONS: Final = {
    RunState.PAUSED: Action.RUN_PAUSE,
    RunState.RUNNING: Action.RUN_RESUME,
    RunState.CANCELLED: Action.RUN_CANCEL,
}
_TOLD: Final = {
    RunState.PAUSED: "paused",
    RunState.RUNNING: "resumed",
    RunState.CANCELLED: "cancelled",
}


def run_of(row: Record | None) -> BulkRun:
    """Return a run from the row of its columns."""
    if row is None:
        raise AssertionError("a statement that returns a row returned none")
    tree: dict[str, Any] = with_iso_times(row)
    for name in ("parameters", "cursor"):
        tree[name] = msgspec.json.decode(tree[name])
    return msgspec.convert(tree, BulkRun)
