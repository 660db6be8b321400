"""deploy/postgres: a server starts with the files, and lets in whom they name, encrypted alone."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import asyncpg

from ops.stack import PrivatePostgres, StackError
from ops.stack.accounts import service_account, write_secret
from ops.stack.postgres import SERVICE_USER
from pipeline.database import migrate
from pipeline.settings import Settings
from tests.certificates import Authority
from tests.deployment.check import DEPLOY, Check
from tests.servers import open_folder

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = DEPLOY / "postgres"
_TLS: Final = "/etc/postgresql/tls/server"
# Of the machine that checks: memory is shared with what else runs there.
_OTHERWISE: Final = ("shared_buffers = 4GB", "shared_buffers = 128MB")
_MAX_CONNECTIONS: Final = re.compile(r"^max_connections = (\d+)", re.MULTILINE)
_PASSWORD: Final = "of-a-user-of-the-check"
# The private server's superuser has the name that the owner is to have.
_OWNER: Final = "owner"
# What each may do first of all.
_FIRST: Final = {
    "ingest": "SELECT org_id FROM org",
    "worker": "SELECT org_id FROM record",
    "relay": "SELECT target FROM outbox",
    "console": "SELECT rule FROM firing",
    "operator": "SELECT count(*) FROM pg_stat_replication",
    _OWNER: "SELECT org_id FROM org",
}


def check_connections() -> list[str]:
    """See that the arithmetic is that of the pools."""
    size = Settings().database.pool_size
    words = f"{size + 1} for each ingest and relay, {size} for each worker process"
    return [
        f"{name} does not say {words!r}, which is what the pools come to"
        for name in ("postgresql.conf", "README.md")
        if words not in (FOLDER / name).read_text("utf-8")
    ]


def check_server() -> list[str]:
    """Start a server with all of it, and connect as everybody."""
    with open_folder() as folder:
        return asyncio.run(_check_server(folder))


async def _check_server(folder: Path) -> list[str]:
    account = service_account(SERVICE_USER)
    authority = Authority(folder, "ca")
    issued = authority.issue("server", account=account)
    configuration = (FOLDER / "postgresql.conf").read_text("utf-8").replace(*_OTHERWISE)
    for suffix, path in (("crt", issued.certificate), ("key", issued.key)):
        configuration = configuration.replace(f"{_TLS}.{suffix}", str(path))
    write_secret(folder / "postgresql.conf", configuration, account)
    # As the server is made; the file's own lines come behind it.
    hba = "hostnossl all penstock 127.0.0.1/32 scram-sha-256\n"
    write_secret(folder / "pg_hba.conf", hba, account)
    files = {"config_file": "postgresql.conf", "hba_file": "pg_hba.conf"}
    settings = {name: str(folder / path) for name, path in files.items()}
    # The private server's own number would stand above the file's.
    settings["max_connections"] = _MAX_CONNECTIONS.findall(configuration)[-1]
    server = PrivatePostgres(folder / "server", settings=settings)
    try:
        await server.start()
    except StackError as error:
        return str(error).splitlines()
    try:
        rules = (FOLDER / "pg_hba.conf").read_text("utf-8").replace("10.0.0.0/8", "127.0.0.0/8")
        rules = rules.replace("penstock,operator", f"{_OWNER},operator")
        write_secret(folder / "pg_hba.conf", hba + rules, account)
        problems = await _read(server.url)
        return problems or await _connected(server.url, authority.ca_file)
    except (asyncpg.PostgresError, OSError) as error:
        return str(error).splitlines() or [repr(error)]
    finally:
        await server.stop()


async def _read(url: str) -> list[str]:
    """Have the server read its files, make the roles, and migrate as the owner."""
    connection = await asyncpg.connect(url)
    try:
        errors = [
            f"{row['file']}: {row['line']}: {row['error']}"
            for query in (
                "SELECT 'postgresql.conf' AS file, sourceline AS line, error FROM pg_file_settings",
                "SELECT 'pg_hba.conf' AS file, line_number AS line, error FROM pg_hba_file_rules",
            )
            for row in await connection.fetch(f"{query} WHERE error IS NOT NULL")
        ]
        if errors:
            return errors
        roles = (FOLDER / "roles.sql").read_text("utf-8")
        await connection.execute(
            roles.replace("CREATE ROLE penstock LOGIN", f"CREATE ROLE {_OWNER} LOGIN")
        )
        for user in _FIRST:
            await connection.execute(f"ALTER ROLE {user} PASSWORD '{_PASSWORD}'")
        await connection.execute(f"ALTER DATABASE penstock OWNER TO {_OWNER}")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()
    return []


async def _connected(url: str, ca_file: Path) -> list[str]:
    """Connect as each user: encrypted it may do its work, in plain text nobody comes in."""
    address = urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca_file))
    problems = []
    for user, statement in reversed(_FIRST.items()):
        own = f"postgresql://{user}:{_PASSWORD}@127.0.0.1:{address.port}/penstock"
        connection = await asyncpg.connect(own, ssl=context)
        try:
            if user == _OWNER:
                await migrate(connection, retention_days=90, now_ms=time.time_ns() // 1_000_000)
            await connection.fetch(statement)
        finally:
            await connection.close()
        try:
            await (await asyncpg.connect(own, ssl=False)).close()
        except asyncpg.InvalidAuthorizationSpecificationError:
            continue
        problems.append(f"{user} comes in without TLS")
    return problems


CHECKS: Final = (
    Check("PostgreSQL: the connections are counted as the pools are", (), check_connections),
    Check(
        "PostgreSQL: a server starts with the files, and each user may do its work",
        ("psql",),
        check_server,
    ),
)
