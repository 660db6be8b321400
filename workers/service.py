"""The worker process: wiring, consuming, sweeping, upkeep of the tables, draining."""

from __future__ import annotations

import os
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Final

import structlog

from pipeline import metrics
from pipeline.admin import AdminServer
from pipeline.broker import keep_connected
from pipeline.database import DatabaseWatch, drop_partitions, ensure_partitions, open_pool
from pipeline.errors import Kind, Reason, classify
from pipeline.lifecycle import finish_within, run_until_stopped, wait_or_stop
from pipeline.progress import tell
from pipeline.tally import ProcessKind, Tally
from workers.consume import Consumer
from workers.lookups.sweep import Sweep
from workers.processor import Processor
from workers.queue_watch import QueueWatch
from workers.received import now_ms
from workers.recorder import Recorder
from workers.upkeep import clear

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from pipeline.database import Pool
    from pipeline.objects import SObject
    from pipeline.settings import Settings

log = structlog.get_logger()

_UPKEEP_S: Final = 3600.0
_UPKEEP_RETRY_S: Final = 30.0


async def run(settings: Settings, objects: Sequence[SObject]) -> None:
    """Consume the queues of `objects` until a signal, then drain and return."""
    _begin_at_zero(objects)
    worker = settings.worker
    name = f"penstock worker {os.getpid()}"
    async with open_pool(settings.database, name) as pool:
        make_processor = partial(
            Processor,
            pool,
            retention_days=settings.database.retention_days,
            parent_wait_s=worker.parent_wait_s,
            gap_confirm_s=worker.gap_confirm_s,
        )
        consumer = Consumer(worker, objects, make_processor, pool)
        sweep = Sweep(pool, worker)
        watch = QueueWatch(settings.broker.url, f"{name} queues", objects, consumer.in_hand)
        tally = Tally(pool, ProcessKind.WORKER, objects, consumer.in_hand.waiting)
        recorder = Recorder(objects, pool, hold_s=worker.hold_s)
        database = DatabaseWatch(pool)
        checks = {
            "broker": consumer.broker_problem,
            "version": consumer.version_problem,
            "database": lambda: consumer.database_problem() or database.problem(),
            "sweep": sweep.problem,
            "recorder": recorder.problem,
        }

        async def consume(stop: asyncio.Event) -> None:
            await keep_connected(
                settings.broker.url, name, stop, lambda c: consumer.session(c, stop)
            )

        async def progress(stop: asyncio.Event) -> None:
            report = consumer.progress.report
            await tell(settings.broker.url, f"{name} progress", report, stop)

        async def record(stop: asyncio.Event) -> None:
            await keep_connected(
                settings.broker.url,
                f"{name} recorder",
                stop,
                lambda c: recorder.session(c, stop),
            )

        async def kept_up(stop: asyncio.Event) -> None:
            await keep_up(pool, settings.database.retention_days, stop)

        async def upkeep(stop: asyncio.Event) -> None:
            await finish_within(kept_up, stop, worker.drain_s)

        async def swept(stop: asyncio.Event) -> None:
            await finish_within(sweep.run, stop, worker.drain_s)

        async with AdminServer(worker.admin_host, worker.admin_port, checks):
            await run_until_stopped(
                {
                    "consumer": consume,
                    "database": database.run,
                    "recorder": record,
                    "upkeep": upkeep,
                    "sweep": swept,
                    "tally": tally.run,
                    "queues": watch.run,
                    "progress": progress,
                }
            )
    log.info("drained")


def _begin_at_zero(objects: Sequence[SObject]) -> None:
    """Have Prometheus see the first of what is seldom: a count that begins at 1 grew by nothing."""
    for sobject, reason in product(objects, Reason):
        metrics.dead_letters.labels(sobject, reason)
    for sobject in objects:
        metrics.redeliveries.labels(sobject)
        metrics.deliveries_settled.labels(sobject, "acked")
    for state in ("suspected", "filled", "confirmed", "failed"):
        metrics.gaps.labels(state)


async def keep_up(pool: Pool, retention_days: int, stop: asyncio.Event) -> None:
    """Make the history's partitions two weeks ahead and clear away, every hour until `stop`.

    What fails is tried again after half a minute.
    """
    pause_s = 0.0
    while not await wait_or_stop(stop, pause_s):
        try:
            async with pool.acquire() as connection, connection.transaction():
                await ensure_partitions(connection, retention_days=retention_days, now_ms=now_ms())
            await clear(pool, retention_days=retention_days)
            async with pool.acquire() as connection:
                dropped = await drop_partitions(
                    connection, retention_days=retention_days, now_ms=now_ms()
                )
            for name in dropped:
                log.info("partition_dropped", partition=name)
                metrics.partitions_dropped.inc()
            metrics.upkeep_held.set(0)
            pause_s = _UPKEEP_S
        except Exception as error:
            if classify(error) is not Kind.TRANSIENT:
                raise
            log.warning("upkeep_held", error=error)
            metrics.upkeep_held.set(1)
            pause_s = _UPKEEP_RETRY_S
