"""What this process counts of the flow, told to the database every 5 s.

Nothing is counted twice: a tally is what the process's metrics grew by since it last told. It costs
one statement, whatever happened meanwhile, on none of the transactions that changes are in. What
cannot be told is dropped: the flow then shows less than there was, and nothing waits for it.
"""

from __future__ import annotations

import os
import secrets
import socket
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec
import structlog

from pipeline import metrics
from pipeline.database import DATABASE_ERRORS, newest_known
from pipeline.lifecycle import finish_within, wait_or_stop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client.metrics import MetricWrapperBase
    from prometheus_client.samples import Sample

    from pipeline.database import Pool
    from pipeline.objects import SObject

    Labels = Mapping[str, str]

log = structlog.get_logger()

VERSION: Final = version("penstock")
TELL_EVERY_S: Final = 5.0
# Of a whole hour a reader wants all, whenever the last upkeep was.
KEPT_HOURS: Final = 2
_TIMEOUT_S: Final = 5.0
_DRAIN_S: Final = 1.0
_PUT_OFF: Final = frozenset({"429", "503"})


class ProcessKind(StrEnum):
    """What a process does."""

    INGEST = "ingest"
    WORKER = "worker"
    RELAY = "relay"
    CONSOLE = "console"


class Waiting(NamedTuple):
    """What a worker knows of a queue: deliveries that it holds, and how old what waits may be.

    Nothing that waits in the queue came before `waits_since` (Unix ms).
    """

    in_hand_count: int
    waits_since: int | None


class _Count(NamedTuple):
    """A column, and the samples of a metric that it sums."""

    column: str
    metric: MetricWrapperBase
    counts: Callable[[Labels], bool] = lambda _: True
    scale: float = 1


def _outcome(outcome: str) -> Callable[[Labels], bool]:
    return lambda labels: labels["outcome"] == outcome


_COUNTS: Final = (
    _Count("callout_count", metrics.callouts, lambda labels: labels["status"] == "202"),
    _Count(
        "refused_count",
        metrics.callouts,
        lambda labels: labels["status"] >= "400" and labels["status"] not in _PUT_OFF,
    ),
    _Count("put_off_count", metrics.callouts, lambda labels: labels["status"] in _PUT_OFF),
    _Count("accepted_count", metrics.changes_accepted),
    _Count(
        "delivery_count",
        metrics.deliveries_settled,
        # Of objects' queues, not of dead ones.
        lambda labels: labels["outcome"] != "recorded",
    ),
    _Count("committed_count", metrics.changes_committed),
    _Count("dead_count", metrics.dead_letters),
    _Count("fired_count", metrics.firings),
    _Count("busy_ms", metrics.busy_seconds, scale=1000),
    _Count("sent_count", metrics.outbox_deliveries, _outcome("delivered")),
    _Count("failed_count", metrics.outbox_deliveries, _outcome("refused")),
    _Count("held_count", metrics.outbox_deliveries, _outcome("held")),
)
_LATENCIES: Final = {
    "commit_latency": metrics.receive_to_commit_seconds,
    "send_latency": metrics.outbox_seconds,
}
# Upper bounds of the buckets of a latency, in seconds; one more takes what is beyond them.
LATENCY_BOUNDS_S: Final = metrics.SECONDS

_COLUMNS: Final = (*(count.column for count in _COUNTS), *_LATENCIES)
_SUMS: Final = ", ".join(
    [f"{one.column} = stored.{one.column} + excluded.{one.column}" for one in _COUNTS]
    + [f"{name} = penstock_sum(stored.{name}, excluded.{name})" for name in _LATENCIES]
)
_TYPES: Final = ", ".join(
    [f"{one.column} bigint" for one in _COUNTS] + [f"{name} bigint[]" for name in _LATENCIES]
)
_TELL: Final = f"""
    WITH present AS (
        INSERT INTO process (process_id, kind, host, pid, objects, ended_at, version,
                             knows_migration)
        VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END, $8, $9)
        ON CONFLICT (process_id) DO UPDATE SET told_at = now(), ended_at = excluded.ended_at)
    INSERT INTO tally AS stored (process_id, object, minute, {", ".join(_COLUMNS)},
                                 in_hand_count, waits_since)
    SELECT $1, object, date_trunc('minute', now()), {", ".join(_COLUMNS)},
           in_hand_count, waits_since
    FROM jsonb_to_recordset($7::jsonb)
        AS told (object text, {_TYPES}, in_hand_count integer, waits_since bigint)
    ON CONFLICT (minute, process_id, object) DO UPDATE
    SET {_SUMS}, in_hand_count = excluded.in_hand_count,
        waits_since = coalesce(excluded.waits_since, stored.waits_since)"""  # noqa: S608  composed of constants


class Tally:
    """Tells that this process runs, on which objects, and what it counted.

    `waiting`: what a worker knows of its queues.
    """

    def __init__(
        self,
        pool: Pool,
        kind: ProcessKind,
        objects: Sequence[SObject] = (),
        waiting: Callable[[], Mapping[SObject, Waiting]] = dict,
    ) -> None:
        self._pool = pool
        self._kind = kind
        self._objects = objects
        self._waiting = waiting
        # Of this run, whatever else has had its process id on this host.
        self._process_id = secrets.token_hex(8)
        self._counted = _counted()

    async def run(self, stop: asyncio.Event) -> None:
        """Tell at once, every 5 s until `stop`, and once more that it ended."""
        await finish_within(self._run, stop, _DRAIN_S)

    async def _run(self, stop: asyncio.Event) -> None:
        await self.tell()
        while not await wait_or_stop(stop, TELL_EVERY_S):
            await self.tell()
        await self.tell(ended=True)

    async def tell(self, *, ended: bool = False) -> None:
        """Tell what was counted since the last time, in one statement; drop it if that fails."""
        before, self._counted = self._counted, _counted()
        rows = _grown(before, self._counted)
        for sobject, told in self._waiting().items():
            rows.setdefault(sobject.value, _nothing()).update(told._asdict())
        try:
            await self._pool.execute(
                _TELL,
                self._process_id,
                self._kind.value,
                socket.gethostname(),
                os.getpid(),
                [sobject.value for sobject in self._objects],
                ended,
                msgspec.json.encode(
                    [{"object": name, **row} for name, row in rows.items()]
                ).decode(),
                VERSION,
                newest_known(),
                timeout=_TIMEOUT_S,
            )
        except DATABASE_ERRORS as error:
            log.warning("tally_dropped", error=error)


# By object and column: a count, or how many were within each bound of a latency and beyond.
_Counted: TypeAlias = "dict[tuple[str, str], list[float]]"


def _counted() -> _Counted:
    """Return what the metrics stand at."""
    counted: _Counted = {}
    for count in _COUNTS:
        for sample in _samples(count.metric, "_total"):
            if count.counts(sample.labels):
                total = counted.setdefault((_object(sample), count.column), [0.0])
                total[0] += sample.value * count.scale
    for column, metric in _LATENCIES.items():
        for sample in _samples(metric, "_bucket"):
            counted.setdefault((_object(sample), column), []).append(sample.value)
    return counted


def _samples(metric: MetricWrapperBase, suffix: str) -> Iterator[Sample]:
    (family,) = metric.collect()
    return (sample for sample in family.samples if sample.name == family.name + suffix)


def _object(sample: Sample) -> str:
    name = sample.labels.get("object", "")
    return "" if name == metrics.NO_OBJECT else name


def _grown(before: _Counted, after: _Counted) -> dict[str, dict[str, object]]:
    """Return what grew, by object."""
    rows: dict[str, dict[str, object]] = {}
    for (name, column), stands in after.items():
        stood = before.get((name, column)) or [0.0] * len(stands)
        grew = [round(new) - round(old) for new, old in zip(stands, stood, strict=True)]
        if not any(grew):
            continue
        row = rows.setdefault(name, _nothing())
        # The library's buckets hold what the ones before them do.
        row[column] = _apart(grew) if column in _LATENCIES else grew[0]
    return rows


def _apart(cumulative: Sequence[int]) -> list[int]:
    return [count - less for count, less in zip(cumulative, (0, *cumulative[:-1]), strict=True)]


def _nothing() -> dict[str, object]:
    counts: dict[str, object] = {count.column: 0 for count in _COUNTS}
    return counts | {name: [0] * (len(LATENCY_BOUNDS_S) + 1) for name in _LATENCIES}
