"""How many workers an object would need, from measured rates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from ops.flow.whole import Flow, ObjectFlow


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to drain an object's queue within `within_s` seconds.

    `backlog_count` is in changes, as many as its messages hold on average. `workers_needed` is None
    where `why` says why it is not known. It takes each worker for as fast as the fastest was in its
    fullest minute of the last hour: a database at its limit gives more of them no more.
    """

    object: str
    within_s: float
    backlog_count: int | None
    arriving_per_s: float
    worker_changes_per_s: float | None
    worker_count: int
    workers_needed: int | None
    why: str | None = None


def workers_needed(flow: Flow, within_s: float) -> list[Drain]:
    """Return what each object's queue needs.

    A worker of several objects is shared by them: together they need the sum.
    """
    return [_needed(one, within_s) for one in flow.objects]


def _needed(one: ObjectFlow, within_s: float) -> Drain:
    backlog: int | None = None
    needed: int | None = None
    why: str | None = None
    if one.depth_count is None:
        why = "RabbitMQ does not say how much waits"
    else:
        backlog = math.ceil(
            (one.depth_count + one.in_hand_count) * (one.changes_per_message or 1.0)
        )
        if backlog == 0 and one.accepted_per_s == 0:
            needed = 0
        elif backlog == 0 and one.worker_changes_per_s is None:
            # What never kept a worker busy for a second of a minute is far below what one can do.
            needed = 1
        elif one.worker_changes_per_s is None:
            why = "no worker was busy with it for a second of any minute in the last hour"
        else:
            wanted_per_s = one.accepted_per_s + backlog / within_s
            needed = math.ceil(wanted_per_s / one.worker_changes_per_s)
    return Drain(
        object=one.object,
        within_s=within_s,
        backlog_count=backlog,
        arriving_per_s=one.accepted_per_s,
        worker_changes_per_s=one.worker_changes_per_s,
        worker_count=one.worker_count,
        workers_needed=needed,
        why=why,
    )
