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

    from asyncpg.connection import LoggedQuery

    from pipeline.database import Connection
    from pipeline.settings import Secret

_COMMAND_TIMEOUT_S: Final = 60.0
# Of what reads a whole history, or org, in one statement. Ctrl-C ends it.
UNHURRIED_S: Final = 3600.0
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
        OpsError: it does not answer, or not in time, or it was not migrated; says what to do.
    """
    late_s: float | None = None

    def break_off_late(query: LoggedQuery) -> None:
        nonlocal late_s
        if isinstance(query.exception, TimeoutError):
            late_s = query.elapsed
            # Its rollback would wait as long.
            connection.terminate()

    try:
        connection = await Hosts(url).connect(
            command_timeout=_COMMAND_TIMEOUT_S,
            server_settings={"application_name": "penstock"},
        )
    except (*DATABASE_ERRORS, ValueError) as error:
        # A timeout says nothing of itself.
        why = refusal(error, "DATABASE") or str(error) or "nothing came back in time"
        raise OpsError(f"PostgreSQL at {_place(url)} does not answer: {why}") from error
    connection.add_query_logger(break_off_late)
    try:
        yield connection
    except _OTHER_TABLES as error:
        raise OpsError(await _lack(connection) or f"{error}: run `penstock migrate`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise OpsError(
            f"{error}: run this as a user with the role penstock_operator; migrate, restored and"
            " forget as the owner of the tables"
        ) from error
    except (TimeoutError, *_LOST) as error:
        if late_s is not None:
            raise OpsError(
                f"PostgreSQL did not answer within {late_s:.0f} s: `penstock doctor` looks at how"
                " it is; try again once it has less to do"
            ) from error
        if isinstance(error, TimeoutError):
            raise
        raise OpsError(f"the connection to PostgreSQL was lost: {error}") from error
    finally:
        await connection.close()


async def _lack(connection: Connection) -> str | None:
    """Say why this version and a database do not go together, if they do not."""
    try:
        schema = await read_schema(connection)
    except DATABASE_ERRORS:
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
