"""Fixtures for every test: real servers, one of each a session, and a clean place in them a test.

A server starts with the first test that asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import hypothesis
import pytest

from ops.stack import PrivatePostgres, PrivateRabbitMQ
from ops.stack.errors import StackError
from ops.stack.programs import install_missing
from pipeline import topology
from pipeline.broker import connection_to
from pipeline.lifecycle import rest_collector
from pipeline.settings import Secret
from tests.processes import PenstockProcesses
from tests.servers import (
    LoopThread,
    database_at,
    execute,
    manage,
    migrated,
    new_name,
    open_folder,
    roomy,
)
from tests.starting import Forks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


# How long one example takes is up to what else the machine does.
hypothesis.settings.register_profile("penstock", deadline=None)
hypothesis.settings.load_profile("penstock")

# The session's server need not outlive the machine; tests that kill one have one of their own.
_FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over the tests, which live as long as the process."""
    rest_collector()


@pytest.fixture
def service_folder() -> Iterator[Path]:
    """A new folder that the servers' own users can enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _servers_installed() -> None:
    """RabbitMQ and PostgreSQL, installed where they are missing and that is possible."""
    # Where it is not, each test that needs them says so.
    with open_folder() as folder, contextlib.suppress(StackError):
        asyncio.run(
            install_missing(broker=True, database=True, log_path=folder / "install.log", said=print)
        )


@pytest.fixture(scope="session")
def server_loop() -> Iterator[LoopThread]:
    """The loop that the session's servers live on."""
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def postgres_server(server_loop: LoopThread) -> Iterator[PrivatePostgres]:
    """One PostgreSQL for the session. Most tests want `database_url` instead."""
    with open_folder(roomy()) as folder:
        server = PrivatePostgres(folder / "postgres", settings=_FORGETFUL)
        server_loop.run(server.start())
        try:
            yield server
        finally:
            server_loop.run(server.stop())


@pytest.fixture(scope="session")
def rabbitmq_server(server_loop: LoopThread) -> Iterator[PrivateRabbitMQ]:
    """One RabbitMQ for the session. Most tests want `broker_url` instead."""
    with open_folder(roomy()) as folder:
        server = PrivateRabbitMQ(folder / "rabbitmq", plugins=["rabbitmq_management"])
        server_loop.run(server.start())
        try:
            yield server
        finally:
            # Killed first: its good order takes 6 s with the plugin, for data that nobody wants.
            server_loop.run(server.kill())
            server_loop.run(server.stop())


@pytest.fixture(scope="session")
def template_database(postgres_server: PrivatePostgres, server_loop: LoopThread) -> str:
    """The name of the migrated database that each test's own is a copy of."""
    name = new_name("template")
    server_loop.run(execute(postgres_server.url, f"CREATE DATABASE {name}"))
    server_loop.run(migrated(database_at(postgres_server.url, name)))
    return name


@pytest.fixture
def database_url(
    postgres_server: PrivatePostgres, template_database: str, server_loop: LoopThread
) -> Iterator[str]:
    """The URL of a database of the test's own, dropped afterwards whoever is connected."""
    name = new_name("test")
    url = postgres_server.url
    # Without fsync, copying files is a third of the work of logging them.
    copy = f"CREATE DATABASE {name} TEMPLATE {template_database} STRATEGY FILE_COPY"
    server_loop.run(execute(url, copy))
    yield database_at(url, name)
    server_loop.run(execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty_database_url(postgres_server: PrivatePostgres, server_loop: LoopThread) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    name = new_name("empty")
    server_loop.run(execute(postgres_server.url, f"CREATE DATABASE {name}"))
    yield database_at(postgres_server.url, name)
    server_loop.run(execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def broker_url(rabbitmq_server: PrivateRabbitMQ) -> Iterator[str]:
    """The URL of a virtual host of the test's own, deleted afterwards with all that is in it."""
    name = new_name("test")
    management = rabbitmq_server.management_url
    everything = '{"configure": ".*", "write": ".*", "read": ".*"}'
    manage(management, "PUT", f"/api/vhosts/{name}", "{}")
    manage(management, "PUT", f"/api/permissions/{name}/penstock", everything)
    yield rabbitmq_server.url + quote(name, safe="")
    manage(rabbitmq_server.management_url, "DELETE", f"/api/vhosts/{name}")


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What starts commands without their imports, for tests that are not about their start."""
    with Forks() as forks:
        yield forks


@pytest.fixture
async def penstock(
    broker_url: str, database_url: str, tmp_path: Path, forks: Forks
) -> AsyncIterator[PenstockProcesses]:
    """Penstock's own processes on a broker and a database of the test's own; none started yet."""
    environment = {
        "PENSTOCK_BROKER__URL": broker_url,
        "PENSTOCK_DATABASE__URL": database_url,
        "PENSTOCK_LOG__FORMAT": "json",
        # What is refused for a backlog depends on what else the machine does meanwhile.
        "PENSTOCK_INGEST__BACKLOG_S": "0",
    }
    # Ingest waits a moment after it has made new queues; not in every test.
    async with connection_to(Secret(broker_url), "test") as connection:
        await topology.declare(await connection.channel())
    async with PenstockProcesses(environment, tmp_path, in_roles=True, start=forks) as processes:
        yield processes
