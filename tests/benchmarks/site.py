"""The servers that everything is measured on, and a clean corner of them for each run."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg

from ops.stack import PrivatePostgres, PrivateRabbitMQ
from ops.stack.children import together
from ops.stack.postgres import DATABASE
from ops.stack.programs import install_missing
from ops.stack.rabbitmq import USER
from tests.servers import database_at, new_name, open_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


class Corner(NamedTuple):
    """A database and a virtual host that nobody else uses, and a folder for files."""

    folder: Path
    database_url: str
    broker_url: str

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Yield a connection to the database."""
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: object) -> Any:  # noqa: ANN401  whatever is asked for
        """Return the one value that a query asks for."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *arguments, timeout=None)


class Site:
    """RabbitMQ and PostgreSQL with their own defaults: fsync on, quorum queues on disk."""

    def __init__(self, folder: Path, plugins: Sequence[str] = ()) -> None:
        self.folder = folder
        self.postgres = PrivatePostgres(folder / "postgres")
        self.rabbitmq = PrivateRabbitMQ(folder / "rabbitmq", plugins=plugins)

    def server_pids(self) -> dict[str, int]:
        """Return the servers' process ids by name."""
        return {"PostgreSQL": self.postgres.pid or 0, "RabbitMQ": self.rabbitmq.pid or 0}

    @asynccontextmanager
    async def corner(self) -> AsyncIterator[Corner]:
        """Yield a new corner; it is removed afterwards."""
        name = new_name("bench")
        admin_url = database_at(self.postgres.url, DATABASE)
        await _run(admin_url, f'CREATE DATABASE "{name}"')
        await self.rabbitmq.ctl("add_vhost", name)
        await self.rabbitmq.ctl("set_permissions", "-p", name, USER, ".*", ".*", ".*")
        broker_url = urlsplit(self.rabbitmq.url)._replace(path=f"/{name}").geturl()
        folder = self.folder / name
        folder.mkdir()
        # Nothing that the last run left to be written is paid for by this one.
        await _run(admin_url, "CHECKPOINT")
        try:
            yield Corner(folder, database_at(self.postgres.url, name), broker_url)
        finally:
            await self.rabbitmq.ctl("delete_vhost", name)
            await _run(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def open_site(plugins: Sequence[str] = ()) -> AsyncIterator[Site]:
    """Start the servers, RabbitMQ with some plugins; stop them afterwards."""
    with open_folder() as folder:
        await install_missing(
            broker=True, database=True, log_path=folder / "install.log", said=print
        )
        site = Site(folder, plugins)
        try:
            await together(site.postgres.start(), site.rabbitmq.start())
            yield site
        finally:
            await together(site.postgres.stop(), site.rabbitmq.stop())


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, timeout=None)
    finally:
        await connection.close()
