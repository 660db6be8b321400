"""Reading the flow of the last hour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ops.flow.latency import Latency
from ops.flow.processes import processes
from ops.flow.whole import Flow, Minute, ObjectFlow, Outbox
from ops.times import iso
from pipeline.objects import SObject
from pipeline.tally import LATENCY_BOUNDS_S, TELL_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from asyncpg import Record

    from ops.flow.processes import Process
    from ops.flow.queues import Queues
    from pipeline.database import Connection
    from pipeline.queues import Queue

MINUTES: Final = 60
_MAX_OPEN: Final = 10_000
_MINUTE: Final = timedelta(minutes=1)
# A rate is of 30 to 90 s.
_YOUNG: Final = timedelta(seconds=30)
# A worker that was busy for less tells nothing of how fast it can be.
_MIN_BUSY_MS: Final = 1000

_COUNTS: Final = (
    "callout_count",
    "refused_count",
    "put_off_count",
    "accepted_count",
    "delivery_count",
    "committed_count",
    "dead_count",
    "fired_count",
    "sent_count",
    "failed_count",
    "held_count",
)


def _summed(column: str) -> str:
    places = range(1, len(LATENCY_BOUNDS_S) + 2)
    return f"ARRAY[{', '.join(f'sum({column}[{place}])::bigint' for place in places)}] AS {column}"


# Sixty whole minutes, and the one under way.
_READ_MINUTES: Final = f"""
    SELECT object, minute, {", ".join(f"sum({name})::bigint AS {name}" for name in _COUNTS)},
           {_summed("commit_latency")}, {_summed("send_latency")}
    FROM tally WHERE minute >= date_trunc('minute', now()) - make_interval(mins => $1)
    GROUP BY object, minute ORDER BY object, minute"""  # noqa: S608  composed of constants
_READ_FULLEST: Final = """
    SELECT DISTINCT ON (object) object, committed_count * 1000.0 / busy_ms AS changes_per_s
    FROM tally
    WHERE minute >= date_trunc('minute', now()) - make_interval(mins => $1) AND busy_ms >= $2
      AND committed_count > 0
    ORDER BY object, committed_count DESC"""
# Of the processes that still tell: how many deliveries they hold. Of all: the newest that any took.
_READ_WAITING: Final = """
    SELECT object, max(waits_since) AS waits_since,
           coalesce(sum(in_hand_count) FILTER (WHERE is_last AND is_alive), 0)::bigint
               AS in_hand_count
    FROM (SELECT object, waits_since, in_hand_count,
                 row_number() OVER (PARTITION BY process_id, object ORDER BY minute DESC) = 1
                     AS is_last,
                 ended_at IS NULL AND told_at > now() - interval '15 seconds' AS is_alive
          FROM tally JOIN process USING (process_id)
          WHERE in_hand_count IS NOT NULL) AS told
    GROUP BY object"""
_READ_OUTBOX: Final = """
    SELECT coalesce(firing.object, '') AS object,
           count(*) FILTER (WHERE one.delayed_for IS NULL) AS open_count,
           count(*) FILTER (WHERE one.delayed_for IS NOT NULL) AS delayed_count,
           extract(epoch FROM now() - min(one.created_at) FILTER (WHERE one.delayed_for IS NULL))
               ::float8 AS oldest_s
    FROM (SELECT firing_id, enrollment_id, delayed_for, created_at FROM outbox
          WHERE state = 'open' LIMIT $1) AS one
    LEFT JOIN enrollment USING (enrollment_id)
    LEFT JOIN firing ON firing.firing_id = coalesce(one.firing_id, enrollment.firing_id)
    GROUP BY 1"""
_NOW: Final = "SELECT now() AS now"


async def read_flow(connection: Connection, queues: Queues) -> Flow:
    """Return how every object's path went in the last hour, and how it stands."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        now: datetime = await connection.fetchval(_NOW)
        minutes = await connection.fetch(_READ_MINUTES, MINUTES)
        fullest = await connection.fetch(_READ_FULLEST, MINUTES, _MIN_BUSY_MS)
        waiting = await connection.fetch(_READ_WAITING)
        outbox = await connection.fetch(_READ_OUTBOX, _MAX_OPEN)
        known = await processes(connection)
    reading = _Reading(now, queues, known)
    of_none = [row for row in minutes if not row["object"]]
    is_cut = sum(row["open_count"] + row["delayed_count"] for row in outbox) >= _MAX_OPEN
    outboxes = {
        row["object"]: Outbox(
            row["open_count"], row["delayed_count"], _rounded(row["oldest_s"]), is_cut
        )
        for row in outbox
    }
    rates = {row["object"]: float(row["changes_per_s"]) for row in fullest}
    by_object = {row["object"]: row for row in waiting}
    return Flow(
        at=iso(now),
        callout_count=_total(of_none, "callout_count"),
        refused_count=_total(of_none, "refused_count"),
        put_off_count=_total(of_none, "put_off_count"),
        outbox=Outbox(
            sum(one.open_count for one in outboxes.values()),
            sum(one.delayed_count for one in outboxes.values()),
            max(
                (one.oldest_s for one in outboxes.values() if one.oldest_s is not None),
                default=None,
            ),
            is_cut,
        ),
        objects=[
            reading.object(
                sobject,
                [row for row in minutes if row["object"] == sobject],
                by_object.get(sobject.value),
                rates.get(sobject.value),
                outboxes.get(sobject.value, Outbox(has_more=is_cut)),
            )
            for sobject in SObject
        ],
        processes=known,
        problem=queues.problem,
    )


class _Reading:
    """What is the same for every object."""

    def __init__(self, now: datetime, queues: Queues, known: Sequence[Process]) -> None:
        self._now = now
        self._queues = queues
        self._known = known
        self._this_minute = now.replace(second=0, microsecond=0)

    def object(
        self,
        sobject: SObject,
        minutes: Sequence[Record],
        waiting: Record | None,
        worker_changes_per_s: float | None,
        outbox: Outbox,
    ) -> ObjectFlow:
        queue = self._queues.by_object.get(sobject)
        in_hand_count = waiting["in_hand_count"] if waiting else 0
        deliveries = _total(minutes, "delivery_count")
        done = _total(minutes, "committed_count") + _total(minutes, "dead_count")
        return ObjectFlow(
            object=sobject.value,
            accepted_per_s=self._per_s(minutes, "accepted_count"),
            depth_count=queue.depth_count if queue else None,
            in_hand_count=in_hand_count,
            oldest_s=self._oldest_s(queue, waiting),
            consumer_count=queue.consumer_count if queue else None,
            worker_count=sum(
                one.state == "running" and sobject.value in one.objects for one in self._known
            ),
            committed_per_s=self._per_s(minutes, "committed_count"),
            latency=_latency(minutes, "commit_latency"),
            dead_count=_total(minutes, "dead_count"),
            dead_queue_count=queue.dead_count if queue else None,
            fired_per_s=self._per_s(minutes, "fired_count"),
            outbox=outbox,
            sent_per_s=self._per_s(minutes, "sent_count"),
            send_latency=_latency(minutes, "send_latency"),
            failed_count=_total(minutes, "failed_count"),
            held_count=_total(minutes, "held_count"),
            changes_per_message=done / deliveries if deliveries else None,
            worker_changes_per_s=_rounded(worker_changes_per_s),
            minutes=self._minutes(minutes),
        )

    def _per_s(self, minutes: Sequence[Record], column: str) -> float:
        """Return the rate in the minute under way or, while that is young, with the one before."""
        since = self._this_minute
        if self._now - since < _YOUNG:
            since -= _MINUTE
        count = _total([row for row in minutes if row["minute"] >= since], column)
        # What was counted since the last telling is not there yet.
        told_s = (self._now - since).total_seconds() - TELL_EVERY_S / 2
        return round(count / told_s, 2)

    def _oldest_s(self, queue: Queue | None, waiting: Record | None) -> float | None:
        if not queue or not queue.depth_count or not waiting or waiting["waits_since"] is None:
            return None
        waits_since_s = float(waiting["waits_since"]) / 1000
        return max(0.0, round(self._now.timestamp() - waits_since_s, 1))

    def _minutes(self, minutes: Sequence[Record]) -> list[Minute]:
        by_minute = {row["minute"]: row for row in minutes}
        moments = [self._this_minute - _MINUTE * before for before in range(MINUTES, -1, -1)]
        return [_minute(moment, by_minute.get(moment)) for moment in moments]


def _minute(moment: datetime, row: Record | None) -> Minute:
    if row is None:
        return Minute(iso(moment))
    return Minute(
        minute=iso(moment),
        accepted_count=row["accepted_count"],
        committed_count=row["committed_count"],
        dead_count=row["dead_count"],
        fired_count=row["fired_count"],
        sent_count=row["sent_count"],
        failed_count=row["failed_count"],
        latency=Latency.of(row["commit_latency"]),
    )


def _latency(minutes: Sequence[Record], column: str) -> Latency:
    return Latency.of(
        [sum(counts) for counts in zip(*(row[column] for row in minutes), strict=True)]
    )


def _total(rows: Sequence[Record], column: str) -> int:
    return sum(row[column] for row in rows)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
