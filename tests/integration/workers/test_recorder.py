"""What lands on the dead queues is moved to the table, once committed, whatever it is."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import asyncpg

from pipeline import envelope, topology
from pipeline.broker import keep_connected
from pipeline.envelope import Item
from pipeline.objects import SObject
from pipeline.settings import Secret, Worker
from tests import servers
from tests.changes import inserted, lead, message
from tests.integration.workers.consuming import DEAD_LEADS, LEADS, Broker, consuming
from tests.salesforce import ORG_ID
from workers.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pamqp.common import FieldTable

    from ops.stack import PrivatePostgres
    from pipeline.database import Pool
    from workers.processor import Processor

GARBAGE: Final = b"\xff\x00 not an envelope"
ROWS: Final = "SELECT * FROM dead_letter ORDER BY dead_letter_id"
COUNT: Final = "SELECT count(*) FROM dead_letter"


@contextlib.asynccontextmanager
async def recording(broker: Broker, pool: Pool) -> AsyncIterator[Recorder]:
    recorder = Recorder([SObject.LEAD], pool, hold_s=300)
    stop = asyncio.Event()
    task = asyncio.create_task(
        keep_connected(Secret(broker.url), "test", stop, lambda c: recorder.session(c, stop))
    )
    try:
        yield recorder
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


async def until(pool: Pool, query: str, expected: object) -> None:
    found = None
    async with asyncio.timeout(20):
        while found != expected:
            found = await pool.fetchval(query)


async def until_rows(pool: Pool, count: int) -> list[asyncpg.Record]:
    await until(pool, COUNT, count)
    return list(await pool.fetch(ROWS))


async def test_what_a_worker_cannot_decode_is_kept_to_the_byte_with_its_way_back(
    broker: Broker, pool: Pool, processor: Processor
) -> None:
    half = message(inserted(lead()), b'{"org_id":"' + ORG_ID.encode() + b'","version":1,"\xff":0}')
    async with consuming(broker, pool, processor, Worker()), recording(broker, pool):
        await broker.publish(GARBAGE, half)
        rows = await until_rows(pool, 2)
        await broker.until_waiting(0, 1, DEAD_LEADS)
    by_bytes = {row["original"]: row for row in rows}
    assert by_bytes.keys() == {GARBAGE, half}
    for row in rows:
        assert (row["object"], row["operation"], row["reason"], row["state"], row["attempts"]) == (
            "Lead",
            "update",
            "undecodable",
            "open",
            1,
        )
        assert row["routing_key"] == "lead.update"
        assert row["message_hash"] == hashlib.sha256(row["original"]).digest()
    assert by_bytes[GARBAGE]["error"].startswith("not an envelope")
    assert by_bytes[GARBAGE]["org_id"] is None
    # The callout that is bad says whose it is; its neighbour was processed.
    assert by_bytes[half]["callout_id"] == "msg_1"
    assert by_bytes[half]["error"].startswith("callout msg_1: ")
    assert await pool.fetchval("SELECT count(*) FROM record") == 1


async def test_what_was_handed_over_too_often_says_so(broker: Broker, pool: Pool) -> None:
    body = message(inserted(lead()))
    death: FieldTable = {
        "reason": "delivery_limit",
        "queue": LEADS,
        "count": 1,
        "exchange": topology.CHANGES,
    }
    async with broker.connection.channel() as channel:
        dead = await channel.get_exchange(topology.DEAD)
        headers: aio_pika.abc.HeadersType = {"x-death": [death]}
        await dead.publish(aio_pika.Message(body, headers=headers), "lead.insert")
    async with recording(broker, pool):
        (row,) = await until_rows(pool, 1)
    assert (row["reason"], row["org_id"], row["callout_id"]) == ("delivery_limit", ORG_ID, "msg_0")
    assert row["received_at"] == envelope.decode(body)[0].received_at
    assert row["error"] == "handed over more than 1,000 times"


async def test_the_same_message_again_is_the_same_row_open_again(
    broker: Broker, pool: Pool, processor: Processor
) -> None:
    async with consuming(broker, pool, processor, Worker()), recording(broker, pool):
        await broker.publish(GARBAGE)
        await until_rows(pool, 1)
        await pool.execute("UPDATE dead_letter SET state = 'replayed'")
        await broker.publish(GARBAGE)
        await until(pool, "SELECT attempts FROM dead_letter", 2)
        (row,) = await until_rows(pool, 1)
    assert row["state"] == "open"
    assert row["first_dead_at"] < row["dead_at"]


async def test_an_outage_of_the_database_is_waited_for_with_nothing_settled(
    broker: Broker, pool: Pool, postgres_server: PrivatePostgres, database_url: str
) -> None:
    name = urlsplit(database_url).path.lstrip("/")
    admin = await asyncpg.connect(postgres_server.url)
    try:
        async with recording(broker, pool) as recorder:
            await broker.until_waiting(0, 1, DEAD_LEADS)
            await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            async with broker.connection.channel() as channel:
                dead = await channel.get_exchange(topology.DEAD)
                await dead.publish(aio_pika.Message(GARBAGE), "lead.update")
            await servers.until(lambda: "holding" in (recorder.problem() or ""))
        # It was given back as the recorder stopped.
        await broker.until_waiting(1, 0, DEAD_LEADS)
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()
    async with recording(broker, pool):
        (row,) = await until_rows(pool, 1)
        await broker.until_waiting(0, 1, DEAD_LEADS)
    # Nobody said why it is there.
    assert row["reason"] == "undecodable"


async def test_a_message_that_nothing_can_be_told_of_has_a_row_all_the_same(
    broker: Broker, pool: Pool
) -> None:
    odd = envelope.encode(
        [Item("msg\x00\x00", 2**64 - 1, masked=True, body=b'{"org_id":"\\u0000"}')]
    )
    async with broker.connection.channel() as channel:
        dead = await channel.get_exchange(topology.DEAD)
        for body in (b"", odd):
            await dead.publish(aio_pika.Message(body), "lead.whatever")
    async with recording(broker, pool):
        rows = await until_rows(pool, 2)
    assert {row["original"] for row in rows} == {b"", odd}
