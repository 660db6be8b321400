"""taskiq's broker and its one task, as its documentation tunes them.

`taskiq worker tests.benchmarks.alternatives.taskiq_broker:broker` runs it.
"""

from __future__ import annotations

from taskiq import TaskiqEvents, TaskiqState
from taskiq.serializers import ORJSONSerializer
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

from tests.benchmarks.alternatives import settings
from tests.benchmarks.alternatives.job import Change, open_pool
from tests.benchmarks.alternatives.job import store as store_change

broker = AioPikaBroker(
    settings.BROKER_URL,
    qos=settings.PREFETCH,
    task_queues=[Queue(name=settings.QUEUE, type=QueueType.QUORUM)],
).with_serializer(ORJSONSerializer())


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def connect(state: TaskiqState) -> None:
    """Open the pool, and say that messages will be consumed."""
    state.pool = await open_pool()
    settings.tell_ready()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def disconnect(state: TaskiqState) -> None:
    """Close the pool."""
    await state.pool.close()


@broker.task
async def store(change: Change) -> None:
    """Store one change; it is acknowledged afterwards."""
    await store_change(broker.state.pool, change)
