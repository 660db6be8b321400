"""From queues to committed batches: gather what is there, commit, then settle.

A batch is whatever has arrived by the time the last one is committed: one message when it is
quiet, hundreds of changes when there is a backlog. Lanes take turns, so that one's batch is decoded
and judged while the database works on the other's. Nothing is settled before its transaction is
committed, and nothing is settled by a cancellation: what is left unsettled goes back whole.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from pipeline import metrics, topology
from pipeline.broker import RUN_HEADER, set_up
from pipeline.envelope import NewerEnvelope
from pipeline.lifecycle import first_of
from workers.channels import CLOSE_TIMEOUT_S, close, told_of_cancels
from workers.healing.comparison import Comparison
from workers.hold import Ends, Hold, HoldExpired
from workers.in_hand import Busy, InHand
from workers.overtaken import Overtaken
from workers.progress import Progress
from workers.received import ReceivedChange, decode, now_ms
from workers.redeliveries import marked, redelivery_of
from workers.stages import Stage, Stopwatch
from workers.trail import tell_of_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractIncomingMessage,
        AbstractQueue,
    )

    from pipeline.audit import AuditRange
    from pipeline.database import Pool
    from pipeline.errors import PoisonError
    from pipeline.objects import SObject
    from pipeline.settings import Worker
    from workers.processor import Processor

    Inbox = asyncio.Queue[AbstractIncomingMessage | "_Signal"]

log = structlog.get_logger()

# While the database works on one batch, Python does on the other: a third would find neither idle.
LANE_COUNT: Final = 2
# A delivery seen this often may be what kills its worker: its changes are tried one by one.
SUSPECT_AFTER_DELIVERIES: Final = 3
# A thousand changes as wide as a lead is; past it a batch only grows in memory, not in rate.
MAX_BATCH_BYTES: Final = 8 * 1024 * 1024
_CANCEL_TIMEOUT_S: Final = 2.0


class Delivery(NamedTuple):
    """One message handed over by the broker, and what was in it."""

    message: AbstractIncomingMessage
    changes: list[ReceivedChange]
    ranges: list[AuditRange]
    poison: PoisonError | None

    @property
    def object(self) -> SObject | None:
        """What the records in it are."""
        return topology.object_of(self.message.routing_key)

    @property
    def is_suspect(self) -> bool:
        """Whether the message was handed over so often that it may be what kills workers."""
        count = self.message.headers.get("x-delivery-count", 0)
        return isinstance(count, int) and count + 1 >= SUSPECT_AFTER_DELIVERIES

    @property
    def is_replayed(self) -> bool:
        """Whether somebody published it again, so that its age says nothing of how fast we are."""
        return RUN_HEADER in self.message.headers


class _Signal(Enum):
    """What comes to who gathers, beside deliveries: look again, and no more comes."""

    BATCH_DONE = auto()
    END = auto()


class _Lane(NamedTuple):
    """What commits one batch after another."""

    processor: Processor
    hold: Hold


class _Opened(NamedTuple):
    """A channel that deliveries come in on, when the broker ends it, and what consumes on it."""

    channel: AbstractChannel
    cancelled: asyncio.Event
    consumers: list[tuple[AbstractQueue, str]]


class Consumer:
    """Consumes the queues of some objects on one connection after another.

    Each lane has a processor of its own, and so do suspects: none may serve two batches at once.
    """

    def __init__(
        self,
        settings: Worker,
        objects: Sequence[SObject],
        make_processor: Callable[[], Processor],
        pool: Pool,
        lane_count: int = LANE_COUNT,
    ) -> None:
        self._comparison = Comparison(pool)
        self._settings = settings
        self._objects = objects
        self._lanes = [
            _Lane(make_processor(), Hold(pool, settings.hold_s)) for _ in range(lane_count)
        ]
        self._suspect_processor = make_processor()
        self._suspecting = asyncio.Lock()
        self._consuming = False
        self._overtaken = Overtaken()
        self._busy = Busy()
        self._gathering = asyncio.Lock()
        self.in_hand = InHand(objects)
        self.progress = Progress()

    def broker_problem(self) -> str | None:
        """Say that nothing is consumed, unless by choice, or None."""
        return None if self._consuming or self._overtaken.is_resting else "not consuming"

    def version_problem(self) -> str | None:
        """Say which messages are left to newer workers, or None."""
        return self._overtaken.problem()

    def database_problem(self) -> str | None:
        """Say what the batch under way is held for, or None."""
        return next((lane.hold.reason for lane in self._lanes if lane.hold.reason), None)

    async def session(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        """Consume on one connection until it is lost or `stop`, then drain.

        Raises:
            TooManyDeadLetters: this worker has to stop; nothing was settled for it.
        """
        await self._overtaken.rest(connection, stop)
        if connection.is_closed or not await self._lanes[0].hold.until_database_answers(stop):
            return
        inbox: Inbox = asyncio.Queue()
        opened = await set_up(self._open(connection, inbox), stop)
        if opened is None:
            return
        channel, cancelled, consumers = opened
        self._consuming = True
        log.info("consuming", objects=[sobject.value for sobject in self._objects])
        ends = Ends(stop, asyncio.Event())
        # What the last session left behind tells its own inbox of its end, not this one's.
        self._busy = Busy()
        lanes = [asyncio.create_task(self._work(lane, inbox, ends)) for lane in self._lanes]
        work = asyncio.gather(*lanes)
        try:
            await first_of(
                channel.closed(),
                connection.closed(),
                cancelled.wait(),
                stop.wait(),
                asyncio.shield(work),
            )
            self._consuming = False
            if stop.is_set() and not channel.is_closed:
                for queue, tag in consumers:
                    await queue.cancel(tag, timeout=CLOSE_TIMEOUT_S)
            ends.lost.set()
            inbox.put_nowait(_Signal.END)
            async with asyncio.timeout(self._settings.drain_s):
                await asyncio.shield(work)
        except HoldExpired as error:
            log.warning("deliveries_returned", reason=str(error))
        except TimeoutError:
            log.warning("drain_cut_short", drain_s=self._settings.drain_s)
        finally:
            self._consuming = False
            # One by one: once a lane has failed, to cancel what gathers them stops no other.
            for lane in lanes:
                lane.cancel()
            # A frozen database does not let go of a query: its batch is left to the pool's end.
            await asyncio.wait(lanes, timeout=_CANCEL_TIMEOUT_S)
            self.in_hand.end()
            # What is still unsettled goes back to its queue as the channel closes.
            await close(channel)

    async def _open(self, connection: AbstractConnection, inbox: Inbox) -> _Opened:
        await topology.ensure(connection)
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(max(1, self._settings.prefetch_count // len(self._objects)))
        cancelled = await told_of_cancels(channel)

        async def take(message: AbstractIncomingMessage) -> None:
            self.in_hand.take(topology.object_of(message.routing_key))
            self.progress.take(message)
            inbox.put_nowait(message)

        self.in_hand.begin()
        self.progress.begin()
        consumers = [
            (queue, await queue.consume(take))
            for sobject in self._objects
            for queue in (await channel.get_queue(topology.queue_name(sobject)),)
        ]
        return _Opened(channel, cancelled, consumers)

    async def _work(self, lane: _Lane, inbox: Inbox, ends: Ends) -> None:
        busy = self._busy
        while not ends.near():
            async with self._gathering:
                # What gathered before may have met the end: nothing more is read of this inbox.
                if ends.near():
                    break
                batch = await self._gather(inbox, ends)
                busy.begin(time.monotonic())
            try:
                await self._work_on(lane, batch, ends)
            finally:
                _share_out(busy.end(time.monotonic()), batch)
                inbox.put_nowait(_Signal.BATCH_DONE)

    async def _work_on(self, lane: _Lane, batch: Sequence[Delivery], ends: Ends) -> None:
        for told in (told for delivery in batch for told in delivery.ranges):
            await lane.hold.until_done(partial(self._comparison.compare, told), ends)
        for delivery in batch:
            if delivery.is_suspect:
                await self._work_on_suspect(lane, delivery, ends)
        rest = [delivery for delivery in batch if not delivery.is_suspect]
        if rest:
            changes = [change for delivery in rest for change in delivery.changes]
            started = time.monotonic()
            outcome = await lane.hold.until_done(partial(lane.processor.process, changes), ends)
            seconds = time.monotonic() - started
            metrics.batch_changes.observe(len(changes))
            metrics.batch_seconds.observe(seconds)
            tell_of_batch(changes, outcome.dead_count, seconds)
            await self._settle(rest)

    async def _work_on_suspect(self, lane: _Lane, delivery: Delivery, ends: Ends) -> None:
        async with self._suspecting:
            for change in delivery.changes:
                process = partial(self._suspect_processor.process_suspect, change)
                await lane.hold.until_done(process, ends)
        await self._settle([delivery])

    async def _gather(self, inbox: Inbox, ends: Ends) -> list[Delivery]:
        """Wait for one delivery, then take what else is there, up to a batch; none at the end.

        What is not a whole batch waits while another is committed, and takes along what comes
        meanwhile: lanes work side by side only where there is a backlog. A message that only
        newer workers can read is the end, too.
        """
        batch: list[Delivery] = []
        change_count = size_bytes = 0
        while change_count < self._settings.batch_count and size_bytes < MAX_BATCH_BYTES:
            if batch and inbox.empty() and self._busy.at_rest:
                break
            message = await inbox.get()
            if message is _Signal.BATCH_DONE:
                continue
            if message is _Signal.END:
                break
            watch = Stopwatch()
            try:
                decoded = decode(message.body)
            except NewerEnvelope as error:
                self._overtaken.by(error)
                ends.lost.set()
                break
            watch.lap(Stage.DECODE)
            if decoded.changes:
                newest = decoded.changes[-1]
                self.in_hand.read(newest.object, newest.received_at)
            again = redelivery_of(message, now_ms())
            if again is not None and again.run_id is None:
                sobject = topology.object_of(message.routing_key) or metrics.NO_OBJECT
                metrics.redeliveries.labels(sobject).inc()
            changes = decoded.changes if again is None else marked(decoded.changes, again)
            batch.append(Delivery(message, changes, decoded.ranges, decoded.poison))
            change_count += len(decoded.changes) + len(decoded.ranges)
            size_bytes += decoded.size_bytes
        return batch

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            sobject = delivery.object or metrics.NO_OBJECT
            watch = Stopwatch()
            if delivery.poison is None:
                await delivery.message.ack()
                metrics.deliveries_settled.labels(sobject, "acked").inc()
            else:
                log.error("poison", error=delivery.poison, queue=delivery.message.routing_key)
                await delivery.message.reject(requeue=False)
                metrics.deliveries_settled.labels(sobject, "dead").inc()
            watch.lap(Stage.SETTLE)
            self.in_hand.settle(delivery.object)
            self.progress.settle(delivery.message, len(delivery.changes) + len(delivery.ranges))
            if delivery.changes and not delivery.is_replayed:
                first, now = delivery.changes[0], now_ms()
                waited_s, age_s = (now - first.received_at) / 1000, (now - first.seen_at) / 1000
                metrics.receive_to_commit_seconds.labels(sobject).observe(waited_s)
                metrics.capture_to_commit_seconds.labels(sobject).observe(max(0.0, age_s))


def _share_out(seconds: float, batch: Sequence[Delivery]) -> None:
    """Count the time that a batch took for its objects, by their changes."""
    counts: Counter[str] = Counter()
    for delivery in batch:
        counts[delivery.object or metrics.NO_OBJECT] += len(delivery.changes) + len(delivery.ranges)
    for sobject, count in counts.items():
        metrics.busy_seconds.labels(sobject).inc(seconds * count / max(1, counts.total()))
