from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from ops.stack import PrivatePostgres
from ops.stack.accounts import service_account
from tests.servers import execute, processes_in

if TYPE_CHECKING:
    from pathlib import Path


async def settings(url: str, *names: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetchval(f"SHOW {name}") for name in names]
    finally:
        await connection.close()


async def test_what_is_committed_survives_a_kill_and_the_url_stays(service_folder: Path) -> None:
    server = PrivatePostgres(service_folder / "postgres")
    await server.start()
    try:
        url = server.url
        names = ("fsync", "track_commit_timestamp", "listen_addresses", "server_encoding")
        assert await settings(url, *names) == ["on", "on", "127.0.0.1", "UTF8"]
        assert await settings(url, "unix_socket_directories", "max_connections") == ["", "100"]

        await execute(url, "CREATE TABLE kept AS SELECT 1 AS one")
        busy = await asyncpg.connect(url)
        await server.kill()
        assert server.pid is None
        busy.terminate()
        await server.start()
        assert server.url == url
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()
        account = service_account("postgres")
        pid = server.pid
        assert pid is not None
        owner = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116  a look at /proc that cannot block
        assert owner == (os.geteuid() if account is None else account.uid)
    finally:
        await server.stop()
    assert processes_in(service_folder) == {}
    left = {path.name for path in (service_folder / "postgres").iterdir()}
    assert left == {"data", "postgres.log", "server.json"}


async def test_a_wrong_password_is_refused(postgres_server: PrivatePostgres) -> None:
    port = urlsplit(postgres_server.url).port
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://penstock:guess@127.0.0.1:{port}/penstock")
