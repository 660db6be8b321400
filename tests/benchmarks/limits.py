"""What the parts can do alone: the bound of whatever is built on them.

The database's: the very rows that a worker writes, encoded beforehand, by clients that do nothing
else, 200 rows a transaction. The edge's: aiohttp that reads a body and answers 202. The broker's:
messages of the same size, published with confirms to a quorum queue.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import aio_pika
import asyncpg
from aio_pika import DeliveryMode

from ops.stack.ports import free_port
from pipeline.objects import Operation
from pipeline.signing import new_secret
from tests.benchmarks import callouts
from tests.benchmarks.callouts import Shape
from tests.benchmarks.systems import open_process
from tests.benchmarks.throughput import CONNECTIONS, send
from tests.changes import message
from tests.servers import migrated
from workers.received import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.benchmarks.callouts import Packed
    from tests.benchmarks.site import Site
    from workers.received import ReceivedChange

    # The arguments of the two statements.
    Batch = tuple[list[Any], list[Any]]

ROWS_PER_TRANSACTION: Final = 200
_QUEUE: Final = "limit"

_INSERT: Final = """
    INSERT INTO change (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                        transaction_id, actor_id, callout_id, received_at, old, new)
    SELECT captured_at, capture_id, record_id, org_id, object, operation, sequence,
           transaction_id, actor_id, callout_id, received_at,
           convert_from(old, 'UTF8'), convert_from(new, 'UTF8')
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                $7::integer[], $8::text[], $9::text[], $10::text[], $11::bigint[],
                $12::bytea[], $13::bytea[])
        AS given (captured_at, capture_id, record_id, org_id, object, operation, sequence,
                  transaction_id, actor_id, callout_id, received_at, old, new)"""
_UPSERT: Final = """
    INSERT INTO record (org_id, record_id, object, captured_at, sequence, capture_id, deleted,
                        fields)
    SELECT org_id, record_id, object, captured_at, sequence, capture_id, deleted,
           convert_from(fields, 'UTF8')::jsonb
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::integer[], $6::text[],
                $7::boolean[], $8::bytea[])
        AS given (org_id, record_id, object, captured_at, sequence, capture_id, deleted, fields)
    ON CONFLICT (org_id, record_id) DO UPDATE
    SET captured_at = excluded.captured_at, sequence = excluded.sequence,
        capture_id = excluded.capture_id, deleted = excluded.deleted, fields = excluded.fields"""


async def database(
    site: Site, packed: Sequence[Packed], change_count: int, client_count: int = 1
) -> float:
    """Return how many rows a second so many clients write into Penstock's own tables."""
    batches = _encoded(callouts.bodies(packed, change_count))
    async with site.corner() as corner:
        await migrated(corner.database_url)
        return await _write(corner.database_url, batches, client_count)


async def edge(site: Site, packed: Sequence[Packed], callout_count: int) -> float:
    """Return how many callouts a second aiohttp takes that does nothing with them."""
    async with site.corner() as corner:
        path = corner.folder / "requests"
        callouts.prepare(path, packed, callout_count, new_secret())
        port = free_port()
        environment = {"BENCH_PORT": str(port)}
        bare = ("-m", "tests.benchmarks.bare_edge")
        async with open_process(corner.folder, "edge", bare, environment):
            sent = await send(path, port, CONNECTIONS[Shape.EDITS])
        return callout_count / sent.took_s


async def broker(site: Site, packed: Sequence[Packed], message_count: int) -> float:
    """Return how many messages a second one channel publishes, as many on their way as callouts."""
    messages = callouts.bodies(packed, message_count)
    async with site.corner() as corner, await aio_pika.connect(corner.broker_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})

        async def publish() -> None:
            for body in messages:
                message = aio_pika.Message(body, delivery_mode=DeliveryMode.PERSISTENT)
                await channel.default_exchange.publish(message, _QUEUE)

        started = time.perf_counter()
        await asyncio.gather(*(publish() for _ in range(CONNECTIONS[Shape.EDITS])))
        return message_count / (time.perf_counter() - started)


def _encoded(bodies: Iterable[bytes]) -> list[Batch]:
    changes = [change for body in bodies for change in decode(message(body)).changes]
    return [
        _batch(changes[first : first + ROWS_PER_TRANSACTION])
        for first in range(0, len(changes), ROWS_PER_TRANSACTION)
    ]


async def _write(url: str, batches: Sequence[Batch], client_count: int) -> float:
    clients = [await asyncpg.connect(url) for _ in range(client_count)]
    left = iter(batches)

    async def write(client: asyncpg.Connection[asyncpg.Record]) -> None:
        for inserted, upserted in left:
            async with client.transaction():
                await client.execute(_INSERT, *inserted)
                await client.execute(_UPSERT, *upserted)

    try:
        started = time.perf_counter()
        await asyncio.gather(*map(write, clients))
        took_s = time.perf_counter() - started
    finally:
        await asyncio.gather(*(client.close() for client in clients))
    return sum(len(inserted[0]) for inserted, _ in batches) / took_s


def _batch(changes: Sequence[ReceivedChange]) -> Batch:
    ordered = sorted(changes, key=lambda change: change.key)
    newest = {(change.org_id, change.record_id): change for change in ordered}
    stored = [newest[key] for key in sorted(newest)]
    return (
        [
            [change.captured_at for change in ordered],
            [change.capture_id for change in ordered],
            [change.record_id for change in ordered],
            [change.org_id for change in ordered],
            [change.object.value for change in ordered],
            [change.operation.value for change in ordered],
            [change.sequence for change in ordered],
            [change.transaction_id for change in ordered],
            [change.actor_id for change in ordered],
            [change.callout_id for change in ordered],
            [change.received_at for change in ordered],
            [change.original(change.old) for change in ordered],
            [change.original(change.new) for change in ordered],
        ],
        [
            [change.org_id for change in stored],
            [change.record_id for change in stored],
            [change.object.value for change in stored],
            [change.captured_at for change in stored],
            [change.sequence for change in stored],
            [change.capture_id for change in stored],
            [change.operation is Operation.DELETE for change in stored],
            [change.state for change in stored],
        ],
    )
