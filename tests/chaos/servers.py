"""RabbitMQ and PostgreSQL of a campaign: its own, on a disk, since they are killed."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import asyncpg

from ops.stack import PrivatePostgres, PrivateRabbitMQ
from ops.stack.ports import LOOPBACK
from pipeline import topology
from pipeline.database import migrate
from tests.chaos.disk import SmallDisk
from tests.servers import database_at, execute, keep_queue_names, new_name, open_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# As in production, the processes' user is no superuser: limits hold for it.
ROLE: Final = "chaos"
RETENTION_DAYS: Final = 90
_PASSWORD: Final = "chaos"
_TABLESPACE: Final = "small"


class Servers:
    """The two servers, and the disk that a full one is played on."""

    def __init__(self, broker: PrivateRabbitMQ, postgres: PrivatePostgres, disk: SmallDisk) -> None:
        self.broker = broker
        self.postgres = postgres
        self.disk = disk

    def port_of_broker(self) -> int:
        return urlsplit(self.broker.url).port or 0

    def port_of_database(self) -> int:
        return urlsplit(self.postgres.url).port or 0

    def broker_url(self, port: int) -> str:
        """Return the URL of the broker by way of `port`."""
        return _through(self.broker.url, port)

    def database_url(self, name: str, port: int) -> str:
        """Return the URL of a database for the processes' user, by way of `port`."""
        return f"postgresql://{ROLE}:{_PASSWORD}@{LOOPBACK}:{port}/{name}?sslmode=disable"

    def superuser_url(self, name: str) -> str:
        """Return the URL of a database for whoever looks on and does harm."""
        return database_at(self.postgres.url, name)

    async def new_database(self) -> str:
        """Make a migrated database; return its name."""
        name = new_name("chaos")
        place = f" TABLESPACE {_TABLESPACE}" if self.disk.is_there else ""
        await execute(self.postgres.url, f"CREATE DATABASE {name} OWNER {ROLE}{place}")
        owner = await asyncpg.connect(self.database_url(name, self.port_of_database()))
        try:
            await migrate(owner, retention_days=RETENTION_DAYS, now_ms=time.time_ns() // 1_000_000)
        finally:
            await owner.close()
        return name

    async def prepare(self) -> None:
        """Make what every run needs: queues, the role, the tablespace."""
        async with await aio_pika.connect(self.broker.url) as connection:
            await topology.declare(await connection.channel())
        await keep_queue_names(self.broker)
        await execute(self.postgres.url, f"CREATE ROLE {ROLE} LOGIN PASSWORD '{_PASSWORD}'")
        if self.disk.is_there:
            place = f"OWNER {ROLE} LOCATION '{self.disk.tablespace}'"
            await execute(self.postgres.url, f"CREATE TABLESPACE {_TABLESPACE} {place}")


@contextlib.asynccontextmanager
async def running_servers() -> AsyncIterator[Servers]:
    """Start both; stop them and leave nothing afterwards."""
    with open_folder() as folder:
        async with SmallDisk(folder / "disk") as disk, contextlib.AsyncExitStack() as stack:
            broker = PrivateRabbitMQ(folder / "rabbitmq")
            postgres = PrivatePostgres(folder / "postgres")
            stack.push_async_callback(postgres.stop)
            stack.push_async_callback(broker.stop)
            # Nobody wants what is in it: its good order takes seconds.
            stack.push_async_callback(broker.kill)
            await postgres.start()
            await broker.start()
            servers = Servers(broker, postgres, disk)
            await servers.prepare()
            yield servers


def _through(url: str, port: int) -> str:
    address = urlsplit(url)
    return address._replace(netloc=f"{address.netloc.rpartition(':')[0]}:{port}").geturl()
