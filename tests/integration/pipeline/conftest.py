from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers import LoopThread, database_at, execute, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import PrivatePostgres


@pytest.fixture
def empty_database_url(postgres_server: PrivatePostgres, server_loop: LoopThread) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    name = new_name("empty")
    server_loop.run(execute(postgres_server.url, f"CREATE DATABASE {name}"))
    yield database_at(postgres_server.url, name)
    server_loop.run(execute(postgres_server.url, f"DROP DATABASE {name} WITH (FORCE)"))
