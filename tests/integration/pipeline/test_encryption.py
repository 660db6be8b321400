"""TLS to both servers, with a certificate authority of one's own: it verifies, or it fails."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
import pytest

from ops.database import connected
from ops.errors import OpsError
from ops.flow import read_queues
from ops.stack.accounts import service_account
from ops.stack.ports import free_port
from pipeline.database import open_pool
from pipeline.settings import Settings, load
from tests.certificates import Authority, Issued
from tests.servers import execute, new_name, open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import PrivatePostgres, PrivateRabbitMQ
    from tests.servers import LoopThread

CERTIFICATES: Final = ("right", "of another host", "expired")
REFUSED: Final = {
    "of another host": "IP address mismatch",
    "expired": "certificate has expired",
    # One server shows its CA with its certificate, the other does not.
    "by another CA": "self-signed certificate|local issuer",
}


class Authorities:
    """The right one, which issued a certificate of every kind for each server, and a wrong one."""

    def __init__(self, folder: Path) -> None:
        self.right = Authority(folder, "right-ca")
        self.wrong = Authority(folder, "wrong-ca")

    def issue(self, server: str, kind: str) -> Issued:
        host = "10.1.2.3" if kind == "of another host" else "127.0.0.1"
        days = -1 if kind == "expired" else 1
        account = service_account(server)
        return self.right.issue(f"{server}-{kind}", host=host, days=days, account=account)

    def ca_file(self, kind: str) -> str:
        return str((self.wrong if kind == "by another CA" else self.right).ca_file)


@pytest.fixture(scope="module")
def authorities() -> Iterator[Authorities]:
    with open_folder() as folder:
        yield Authorities(folder)


@pytest.fixture(scope="module")
def broker_ports(
    rabbitmq_server: PrivateRabbitMQ, authorities: Authorities, server_loop: LoopThread
) -> dict[str, int]:
    """A listener for each certificate, on the session's server; the last wants the client's."""
    ports = {kind: free_port() for kind in (*CERTIFICATES, "mutual")}
    listeners = []
    for kind, port in ports.items():
        issued = authorities.issue("rabbitmq", "right" if kind == "mutual" else kind)
        mutual = ", {verify, verify_peer}, {fail_if_no_peer_cert, true}" * (kind == "mutual")
        options = (
            f'[{{cacertfile, "{authorities.right.ca_file}"}}, {{certfile, "{issued.certificate}"}},'
            f' {{keyfile, "{issued.key}"}}{mutual}]'
        )
        listeners.append(
            f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, {options}, 1)'
        )
    server_loop.run(rabbitmq_server.ctl("eval", ", ".join(listeners) + "."))
    return ports


@pytest.fixture(scope="module")
def encrypting_postgres(
    postgres_server: PrivatePostgres, authorities: Authorities, server_loop: LoopThread
) -> Iterator[PostgresCertificates]:
    certificates = PostgresCertificates(postgres_server, authorities, server_loop)
    yield certificates
    certificates.set(ssl="off")


class PostgresCertificates:
    """The session's server, which shows whatever certificate it is to have."""

    def __init__(
        self, server: PrivatePostgres, authorities: Authorities, server_loop: LoopThread
    ) -> None:
        self.url = server.url
        self._loop = server_loop
        self._issued = {kind: authorities.issue("postgres", kind) for kind in CERTIFICATES}

    def show(self, kind: str) -> None:
        issued = self._issued[kind]
        self.set(ssl="on", ssl_cert_file=issued.certificate, ssl_key_file=issued.key)

    def set(self, **settings: object) -> None:
        self._loop.run(self._set(settings))

    @contextlib.contextmanager
    def access(self, line: str) -> Iterator[None]:
        """Have a line of pg_hba.conf come before the others from the next `set` on."""
        file = Path(self._loop.run(self._asked("SHOW hba_file")))
        before = file.read_text()
        file.write_text(f"{line}\n{before}")
        try:
            yield
        finally:
            file.write_text(before)

    async def _set(self, settings: dict[str, object]) -> None:
        for name, value in settings.items():
            await execute(self.url, f"ALTER SYSTEM SET {name} = '{value}'")
        before = await self._loaded_at()
        await execute(self.url, "SELECT pg_reload_conf()")
        while await self._loaded_at() == before:
            pass

    async def _loaded_at(self) -> object:
        """Return when what new connections go by was read: the server does it after it answered."""
        return await self._asked("SELECT pg_conf_load_time()")

    async def _asked(self, query: str) -> Any:  # noqa: ANN401  whatever was asked for
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()


def database_settings(url: str, ca_file: str, **files: str) -> Settings:
    return load(
        {
            "PENSTOCK_DATABASE__URL": urlsplit(url)._replace(query="").geturl(),
            "PENSTOCK_DATABASE__CA_FILE": ca_file,
            **files,
        }
    )


def broker_settings(url: str, port: int, ca_file: str, **files: str) -> Settings:
    parts = urlsplit(url)
    netloc = f"{parts.netloc.rpartition(':')[0]}:{port}"
    return load(
        {
            "PENSTOCK_BROKER__URL": parts._replace(scheme="amqps", netloc=netloc).geturl(),
            "PENSTOCK_BROKER__CA_FILE": ca_file,
            **files,
        }
    )


def client_files(section: str, authority: Authority) -> dict[str, str]:
    mine = authority.issue("me")
    return {
        f"PENSTOCK_{section}__CERTIFICATE_FILE": str(mine.certificate),
        f"PENSTOCK_{section}__KEY_FILE": str(mine.key),
    }


async def test_a_database_with_the_right_certificate_is_spoken_to_encrypted(
    encrypting_postgres: PostgresCertificates, authorities: Authorities
) -> None:
    encrypting_postgres.show("right")
    settings = database_settings(encrypting_postgres.url, authorities.ca_file("right"))
    async with connected(settings.database.url) as connection:
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert await connection.fetchval(encrypted)


@pytest.mark.parametrize("kind", sorted(REFUSED))
async def test_a_database_with_a_wrong_certificate_is_not_spoken_to(
    encrypting_postgres: PostgresCertificates, authorities: Authorities, kind: str
) -> None:
    encrypting_postgres.show(kind if kind in CERTIFICATES else "right")
    settings = database_settings(encrypting_postgres.url, authorities.ca_file(kind))
    with pytest.raises(OpsError, match=f"({REFUSED[kind]}).*PENSTOCK_DATABASE__CA_FILE"):
        async with connected(settings.database.url):
            pass


async def test_a_database_without_encryption_is_not_spoken_to_either(
    encrypting_postgres: PostgresCertificates, authorities: Authorities
) -> None:
    encrypting_postgres.set(ssl="off")
    settings = database_settings(encrypting_postgres.url, authorities.ca_file("right"))
    with pytest.raises(OpsError, match="SSL"):
        async with connected(settings.database.url):
            pass
    # What the driver does unless it is told otherwise.
    plain = urlsplit(encrypting_postgres.url)._replace(query="").geturl()
    connection = await asyncpg.connect(plain)
    await connection.close()


@pytest.fixture
def demanding_postgres(
    encrypting_postgres: PostgresCertificates, authorities: Authorities, server_loop: LoopThread
) -> Iterator[str]:
    """Return the URL of a user who has to show a certificate besides the password."""
    user = new_name("mutual")
    server_loop.run(execute(encrypting_postgres.url, f"CREATE USER {user} PASSWORD 'of-a-test'"))
    encrypting_postgres.show("right")
    with encrypting_postgres.access(
        f"hostssl all {user} 127.0.0.1/32 scram-sha-256 clientcert=verify-ca"
    ):
        encrypting_postgres.set(ssl_ca_file=authorities.ca_file("right"))
        parts = urlsplit(encrypting_postgres.url)
        place = parts.netloc.rpartition("@")[2]
        yield parts._replace(netloc=f"{user}:of-a-test@{place}").geturl()
    encrypting_postgres.set(ssl_ca_file="")
    server_loop.run(execute(encrypting_postgres.url, f"DROP USER {user}"))


async def test_a_database_that_asks_for_a_certificate_is_shown_one(
    demanding_postgres: str, authorities: Authorities
) -> None:
    ca_file = authorities.ca_file("right")
    settings = database_settings(
        demanding_postgres, ca_file, **client_files("DATABASE", authorities.right)
    )
    shown = "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    async with connected(settings.database.url) as connection:
        assert await connection.fetchval(shown) == "/CN=me"
    # What processes have instead.
    async with open_pool(settings.database, "test") as pool:
        assert await pool.fetchval(shown) == "/CN=me"
    for files in ({}, client_files("DATABASE", authorities.wrong)):
        refused = database_settings(demanding_postgres, ca_file, **files)
        with pytest.raises(OpsError, match="does not answer"):
            async with connected(refused.database.url):
                pass


async def test_a_broker_with_the_right_certificate_is_spoken_to(
    broker_url: str, broker_ports: dict[str, int], authorities: Authorities
) -> None:
    settings = broker_settings(broker_url, broker_ports["right"], authorities.ca_file("right"))
    queues = await read_queues(settings.broker.url)
    assert (queues.problem or "").startswith("not declared yet")


@pytest.mark.parametrize("kind", sorted(REFUSED))
async def test_a_broker_with_a_wrong_certificate_is_not_spoken_to(
    broker_url: str, broker_ports: dict[str, int], authorities: Authorities, kind: str
) -> None:
    port = broker_ports[kind if kind in CERTIFICATES else "right"]
    settings = broker_settings(broker_url, port, authorities.ca_file(kind))
    told = (await read_queues(settings.broker.url)).problem or ""
    assert re.search(REFUSED[kind], told)
    assert "PENSTOCK_BROKER__CA_FILE" in told


async def test_a_broker_that_speaks_plainly_is_not_spoken_to(
    rabbitmq_server: PrivateRabbitMQ, broker_url: str, authorities: Authorities
) -> None:
    port = urlsplit(rabbitmq_server.url).port
    assert port is not None
    settings = broker_settings(broker_url, port, authorities.ca_file("right"))
    assert "no encrypted connection" in ((await read_queues(settings.broker.url)).problem or "")


async def test_a_broker_that_asks_for_a_certificate_is_shown_one(
    broker_url: str, broker_ports: dict[str, int], authorities: Authorities
) -> None:
    files = client_files("BROKER", authorities.right)
    ca_file = authorities.ca_file("right")
    nobody = broker_settings(broker_url, broker_ports["mutual"], ca_file)
    somebody = broker_settings(broker_url, broker_ports["mutual"], ca_file, **files)
    assert "not declared" not in ((await read_queues(nobody.broker.url)).problem or "")
    assert "not declared" in ((await read_queues(somebody.broker.url)).problem or "")
