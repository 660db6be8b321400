"""What can go wrong between a command and the database is told so that a person can act on it."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import asyncpg
import pytest

from ops import database
from ops.database import connected
from ops.errors import OpsError
from ops.stack.ports import free_port
from pipeline.database import hosts
from pipeline.settings import Secret
from tests.servers import execute


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    port = free_port()
    with pytest.raises(OpsError, match=rf"PostgreSQL at localhost:{port} does not") as caught:
        async with connected(Secret(f"postgresql://u:hidden@localhost:{port}/d")):
            pass
    assert "hidden" not in str(caught.value)


async def test_a_server_that_is_silent_is_named_with_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hosts, "CONNECT_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(OpsError, match=rf":{port} does not answer: nothing came back in time"):
            async with connected(Secret(f"postgresql://u@127.0.0.1:{port}/d")):
                pass


async def test_a_connection_that_is_cut_says_so(database_url: str) -> None:
    with pytest.raises(OpsError, match="the connection to PostgreSQL was lost"):
        async with connected(Secret(database_url)) as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_a_statement_that_takes_too_long_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_COMMAND_TIMEOUT_S", 0.2)
    with pytest.raises(OpsError, match=r"did not answer within 0 s: `penstock doctor` looks"):
        async with (
            connected(Secret(database_url)) as connection,
            connection.transaction(),
        ):
            await connection.execute("SELECT pg_sleep(60)")


async def test_a_server_that_is_cut_off_while_it_is_asked_for_its_version_says_what_failed(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closing(_: object) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    monkeypatch.setattr(database, "read_schema", closing)
    with pytest.raises(OpsError, match='"nowhere" does not exist: run `penstock migrate`'):
        async with connected(Secret(database_url)) as connection:
            await connection.execute("SELECT * FROM nowhere")


async def test_servers_of_which_none_takes_changes_are_named_like_one_that_is_away(
    database_url: str,
) -> None:
    with pytest.raises(OpsError, match="does not answer: None of the hosts"):
        async with connected(Secret(f"{database_url}&target_session_attrs=standby")):
            pass


async def test_a_database_without_tables_says_what_to_run(database_url: str) -> None:
    with pytest.raises(OpsError, match="run `penstock migrate`"):
        async with connected(Secret(database_url)) as connection:
            await connection.execute("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("DELETE FROM schema_migration WHERE number = 2", "lacks 1 of Penstock's migrations"),
        ("INSERT INTO schema_migration VALUES (9999)", r"\(9999\): upgrade this one"),
    ],
)
async def test_a_command_of_another_version_says_which_is_to_be_upgraded(
    database_url: str, rows: str, why: str
) -> None:
    await execute(database_url, rows)
    with pytest.raises(OpsError, match=why):
        async with connected(Secret(database_url)) as connection:
            await connection.execute("SELECT nothing_like_that FROM org")


async def test_what_is_not_the_databases_fault_is_left_as_it_is(database_url: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            async with connected(Secret(database_url)):
                await session.get(f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(TimeoutError):
        async with connected(Secret(database_url)), asyncio.timeout(0):
            await asyncio.Event().wait()
    with pytest.raises(asyncpg.UniqueViolationError):
        async with connected(Secret(database_url)) as connection:
            await connection.execute("INSERT INTO org VALUES ('a', 'b'), ('a', 'b')")
