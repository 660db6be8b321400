"""What a replay or a discard would do, before anything is done; and beginning it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from ops import bulk_runs
from ops.bulk_runs import BulkRun, RunKind
from ops.dead_letters.filter import DeadFilter, Where, where
from ops.dead_letters.listing import DeadLetterRow, listing
from ops.dead_letters.pages import DeadRun
from ops.errors import OpsError
from pipeline.database import window
from pipeline.errors import Reason
from workers.received import now_ms

if TYPE_CHECKING:
    from pipeline.database import Connection

DEFAULT_RATE_PER_S: Final = 500
SAMPLE_COUNT: Final = 5

_NEWEST: Final = "SELECT coalesce(max(dead_letter_id), 0) FROM dead_letter"
# Snapshots are as old as their record: when they were read is what counts of them.
_OUTSIDE: Final = (
    "operation <> 'snapshot' AND (captured_at < {}::bigint OR captured_at > {}::bigint)"
)


class DeadCount(msgspec.Struct, frozen=True):
    """How many letters of one reason and object."""

    reason: Reason
    object: str
    count: int


class DeadPlan(msgspec.Struct, frozen=True):
    """What a run would be applied to.

    `expect` says, a line for each reason, what comes of replaying. `up_to_id` is the newest letter
    that there is: what comes later is not meant.
    """

    kind: RunKind
    filter: DeadFilter
    up_to_id: int
    total_count: int
    counts: list[DeadCount]
    sample: list[DeadLetterRow]
    expect: list[str]


async def plan(
    connection: Connection, kind: RunKind, chosen: DeadFilter, *, retention_days: int
) -> DeadPlan:
    """Count what a replay or discard of the filter would be applied to, and tell what to expect.

    Raises:
        WrongUsage: nothing could ever match the filter.
    """
    wanted = where(chosen)
    # Read first: what dies meanwhile is not meant.
    up_to_id = await connection.fetchval(_NEWEST)
    rows = await connection.fetch(
        "SELECT reason, object, count(*) AS count FROM dead_letter"  # noqa: S608  our own text
        f" WHERE {wanted.condition} GROUP BY reason, object ORDER BY count DESC, reason, object",
        *wanted.arguments,
    )
    counts = [msgspec.convert(dict(row), DeadCount) for row in rows]
    expect: list[str] = []
    if kind is RunKind.DEAD_REPLAY:
        outside_count = await _count_outside(connection, wanted, counts, retention_days)
        for reason in Reason:
            count = sum(one.count for one in counts if one.reason is reason)
            if count:
                expect.append(f"{reason}: {_outlook(reason, outside_count)}")
    return DeadPlan(
        kind=kind,
        filter=chosen,
        up_to_id=up_to_id,
        total_count=sum(one.count for one in counts),
        counts=counts,
        sample=await listing(connection, chosen, limit=SAMPLE_COUNT),
        expect=expect,
    )


async def begin(
    connection: Connection, planned: DeadPlan, *, actor: str, rate_per_s: int
) -> BulkRun:
    """Begin the run that was planned, and write down who did; nobody drives it yet.

    Raises:
        OpsError: there is nothing to do.
    """
    if planned.total_count == 0:
        raise OpsError("no dead letter matches: nothing to do")
    parameters = DeadRun(filter=planned.filter, up_to_id=planned.up_to_id)
    return await bulk_runs.create(
        connection,
        planned.kind,
        actor=actor,
        parameters=msgspec.to_builtins(parameters),
        total_count=planned.total_count,
        rate_per_s=rate_per_s,
    )


async def _count_outside(
    connection: Connection, wanted: Where, counts: list[DeadCount], retention_days: int
) -> int:
    if not any(one.reason is Reason.OUT_OF_WINDOW for one in counts):
        return 0
    first, last = window(retention_days=retention_days, now_ms=now_ms())
    outside = wanted.also("reason = {}", Reason.OUT_OF_WINDOW.value).also(_OUTSIDE, first, last)
    count: int = await connection.fetchval(
        f"SELECT count(*) FROM dead_letter WHERE {outside.condition}",  # noqa: S608  our own text
        *outside.arguments,
    )
    return count


def _outlook(reason: Reason, outside_count: int) -> str:
    """Return what comes of replaying what died for a reason."""
    match reason:
        case Reason.OUT_OF_WINDOW if outside_count:
            told = (
                f"{outside_count:,} still lie outside the window and will come back; time, or a"
                " longer PENSTOCK_DATABASE__RETENTION_DAYS of the workers, lets them in"
            )
        case Reason.OUT_OF_WINDOW:
            told = "all lie inside the window by now"
        case Reason.INVALID_RECORD:
            told = "they come back unless the workers' version can read them now"
        case Reason.REFUSED_BY_DATABASE:
            told = "they come back unless what the database refused them for is mended"
        case Reason.RULE_FAILED:
            told = "they come back unless the rule that failed on them is mended"
        case Reason.CRASHED_WORKER:
            told = (
                "each takes up to five workers down before it is set aside again, unless the"
                " workers' version is mended; they are published one by one"
            )
        case Reason.UNDECODABLE:
            told = "the very bytes go back; they return unless the workers' version can read them"
        case Reason.DELIVERY_LIMIT:
            told = "the very bytes go back, to be delivered as often again"
        case unknown:
            assert_never(unknown)
    return told
