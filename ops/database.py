"""One connection for one command, with errors that a person can act on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import asyncpg
from yarl import URL

from ops.errors import OpsError
from pipeline.certificates import refusal
from pipeline.database import DATABASE_ERRORS, Hosts, read_schema
from pipeline.hosts import urls_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.database import Connection
    from pipeline.settings import Secret

_COMMAND_TIMEOUT_S: Final = 60.0
# What a statement fails of that was written for an earlier or a later database.
_OTHER_TABLES: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
# A server that is just closing answers with the driver's internal error.
_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)


@contextlib.asynccontextmanager
async def connected(url: Secret) -> AsyncIterator[Connection]:
    """Yield a connection to PostgreSQL.

    Raises:
        OpsError: it does not answer, or it was not migrated; says what to do.
    """
    try:
        connection = await Hosts(url).connect(
            command_timeout=_COMMAND_TIMEOUT_S,
            server_settings={"application_name": "penstock"},
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        why = refusal(error, "DATABASE") or error
        raise OpsError(f"PostgreSQL at {_place(url)} does not answer: {why}") from error
    try:
        yield connection
    except _OTHER_TABLES as error:
        raise OpsError(await _lack(connection) or f"{error}: run `penstock migrate`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise OpsError(
            f"{error}: run this as a user with the role penstock_operator; migrate, restored and"
            " forget as the owner of the tables"
        ) from error
    except _LOST as error:
        raise OpsError(f"the connection to PostgreSQL was lost: {error}") from error
    finally:
        await connection.close()


async def _lack(connection: Connection) -> str | None:
    """Say why this version and a database do not go together, if they do not."""
    try:
        schema = await read_schema(connection)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        # What came of the command is told then.
        return None
    if schema.unknown and not schema.lacks:
        return f"a later version migrated the database ({max(schema.unknown):04}): upgrade this one"
    return schema.problem()


def _place(url: Secret) -> str:
    try:
        hosts = [URL(one) for one in urls_of(url.value)]
    except ValueError:
        # Not shown: what cannot be parsed may hold a password anywhere.
        return "the URL that is set"
    return ", ".join(f"{host.host or 'localhost'}:{host.port or 5432}" for host in hosts)
