"""FastStream's broker and queue, as its documentation tunes them."""

from __future__ import annotations

from typing import Final

from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from tests.benchmarks.alternatives import settings

BROKER: Final = RabbitBroker(
    settings.BROKER_URL,
    default_channel=Channel(prefetch_count=settings.PREFETCH),
    logger=None,
)
QUEUE: Final = RabbitQueue(settings.QUEUE, queue_type=QueueType.QUORUM, durable=True)
