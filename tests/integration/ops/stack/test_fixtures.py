from __future__ import annotations

import aio_pika
import asyncpg


async def declare_something(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("mine", durable=True)
        assert queue.declaration_result.message_count == 0
        await channel.default_exchange.publish(aio_pika.Message(b"1"), "mine")


async def create_something(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE mine ()")
    await connection.close()


async def test_a_test_has_its_own_place(broker_url: str, database_url: str) -> None:
    await declare_something(broker_url)
    await create_something(database_url)


async def test_and_the_next_test_sees_none_of_it(broker_url: str, database_url: str) -> None:
    await declare_something(broker_url)
    await create_something(database_url)
