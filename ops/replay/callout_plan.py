"""What a replay of callouts from the log would publish, before anything is; and beginning it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from ops import bulk_runs
from ops.bulk_runs import RunKind
from ops.errors import OpsError, WrongUsage
from ops.replay.callouts import CalloutReplay, received_at_of
from ops.replay.stream import FIRST, last_offset, one
from ops.times import iso
from pipeline.errors import BrokerUnavailable
from workers.received import now_ms

if TYPE_CHECKING:
    from ops.bulk_runs import BulkRun
    from pipeline.database import Connection
    from pipeline.settings import Secret

DEFAULT_RATE_PER_S: Final = 500
# A place is found by the broker's clock, and `--since` is of ingest's.
_CLOCKS_DIFFER_MS: Final = 120_000


class CalloutPlan(msgspec.Struct, frozen=True):
    """What a replay would be applied to.

    `reaches_back_to` (RFC 3339) is when ingest received the oldest callout of the log; None if the
    log is empty. `looked_at_count`: about how many messages of the log lie in the span, of all
    objects and orgs; each holds the callouts that ingest published together. `warnings`: what the
    log no longer has.
    """

    replay: CalloutReplay
    since: str
    until: str | None
    reaches_back_to: str | None
    looked_at_count: int
    warnings: list[str]


async def plan(url: Secret, replay: CalloutReplay) -> CalloutPlan:
    """Look at the log's ends, and where the span lies in it; nothing is read in between.

    Raises:
        WrongUsage: the span is empty.
        OpsError: RabbitMQ cannot be asked.
    """
    if replay.since_ms >= (now_ms() if replay.until_ms is None else replay.until_ms):
        raise WrongUsage("--since has to be before --until, and before now")
    try:
        oldest = await one(url, _name(), FIRST)
        first = None if oldest is None else await one(url, _name(), _time(replay.since_ms))
        count = 0 if first is None else await _count(url, replay, first.offset)
    except BrokerUnavailable as error:
        raise OpsError(f"RabbitMQ cannot be asked: {error}") from error
    reach_ms = None if oldest is None else received_at_of(oldest)
    warnings = []
    if reach_ms is not None and reach_ms > replay.since_ms:
        warnings.append(
            "--since is before that: of what ingest received until then, the log has nothing"
        )
    from_offset = None if first is None else first.offset
    return CalloutPlan(
        replay=msgspec.structs.replace(replay, from_offset=from_offset),
        since=iso(replay.since_ms),
        until=None if replay.until_ms is None else iso(replay.until_ms),
        reaches_back_to=None if reach_ms is None else iso(reach_ms),
        looked_at_count=count,
        warnings=warnings,
    )


async def begin(
    connection: Connection, planned: CalloutPlan, *, actor: str, rate_per_s: int
) -> BulkRun:
    """Begin the run that was planned, and write down who did; nobody drives it yet.

    Raises:
        OpsError: there is nothing to do.
    """
    if planned.looked_at_count == 0:
        raise OpsError("the log holds nothing of that time: nothing to do")
    return await bulk_runs.create(
        connection,
        RunKind.CALLOUT_REPLAY,
        actor=actor,
        parameters=msgspec.to_builtins(planned.replay),
        total_count=planned.looked_at_count,
        rate_per_s=rate_per_s,
    )


async def _count(url: Secret, replay: CalloutReplay, first_offset: int) -> int:
    """Return how many messages lie between the places that the broker finds for the times."""
    beyond = None if replay.until_ms is None else await one(url, _name(), _time(replay.until_ms))
    if beyond is not None:
        return max(0, beyond.offset - first_offset)
    return await last_offset(url, _name(), first_offset) + 1 - first_offset


def _time(unix_ms: int) -> datetime:
    return datetime.fromtimestamp((unix_ms - _CLOCKS_DIFFER_MS) / 1000, UTC)


def _name() -> str:
    return f"penstock replay {os.getpid()} plan"
