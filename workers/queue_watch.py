"""What waits in the queues that a worker consumes, told to Prometheus every 5 s."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from pipeline import metrics
from pipeline.broker import keep_connected
from pipeline.lifecycle import wait_or_stop
from pipeline.queues import read_queue

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from aio_pika.abc import AbstractConnection

    from pipeline.objects import SObject
    from pipeline.settings import Secret
    from workers.in_hand import InHand

LOOK_EVERY_S: Final = 5.0


class QueueWatch:
    """Looks on a connection of its own, so that it waits for no batch."""

    def __init__(self, url: Secret, name: str, objects: Sequence[SObject], in_hand: InHand) -> None:
        self._url = url
        self._name = name
        self._objects = objects
        self._in_hand = in_hand

    async def run(self, stop: asyncio.Event) -> None:
        """Look every 5 s until `stop`."""
        await keep_connected(self._url, self._name, stop, lambda c: self._session(c, stop))

    async def _session(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        while not connection.is_closed:
            for sobject in self._objects:
                await self._look(connection, sobject)
            if await wait_or_stop(stop, LOOK_EVERY_S):
                return

    async def _look(self, connection: AbstractConnection, sobject: SObject) -> None:
        queue = await read_queue(connection, sobject)
        if queue is None:
            return
        waiting = self._in_hand.waiting()[sobject]
        age_s = 0.0
        if queue.depth_count and waiting.waits_since is not None:
            age_s = max(0.0, time.time() - waiting.waits_since / 1000)
        metrics.queue_messages.labels(sobject).set(queue.depth_count)
        metrics.dead_queue_messages.labels(sobject).set(queue.dead_count)
        metrics.queue_age_seconds.labels(sobject).set(age_s)
        metrics.deliveries_in_hand.labels(sobject).set(waiting.in_hand_count)
