"""deploy/rabbitmq: a node starts with the files, over TLS, and gets what Penstock declares."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aio_pika
import aiohttp
from aio_pika.exceptions import AMQPError
from yarl import URL

from ops.broker_definitions import MONITOR, VHOST, files, users
from ops.stack import PrivateRabbitMQ, StackError
from ops.stack.accounts import service_account
from ops.stack.ports import free_port
from ops.stack.rabbitmq import SERVICE_USER
from pipeline import topology
from pipeline.settings import Settings
from tests.certificates import Authority
from tests.deployment.check import DEPLOY, TIMEOUT_S, Check
from tests.servers import open_folder

if TYPE_CHECKING:
    from pathlib import Path

    from aio_pika.abc import AbstractConnection

FOLDER: Final = DEPLOY / "rabbitmq"
# Of the machine that checks, not of the one that is to run: ports, and a disk that is shared.
_OTHERWISE: Final = frozenset({"listeners.tcp", "disk_free_limit.relative"})
_TOLD_WITHIN_S: Final = 60.0
_ASK_EVERY_S: Final = 0.5
_PASSWORD: Final = "of-a-user-of-the-check"
_LINE: Final = re.compile(r"([a-z0-9_.]+)\s*=\s*(.+)")


def configuration() -> dict[str, str]:
    """Return what the files say, by the key."""
    found = {}
    for path in (FOLDER / "rabbitmq.conf", FOLDER / "conf.d" / "tls.conf"):
        for line in path.read_text("utf-8").splitlines():
            if match := _LINE.fullmatch(line.partition("#")[0].strip()):
                found[match[1]] = match[2]
    return found


def plugins() -> list[str]:
    """Return the plugins that the file enables."""
    return re.findall(r"\w+", (FOLDER / "enabled_plugins").read_text("utf-8"))


def check_configuration() -> list[str]:
    """See that the numbers are those that Penstock's own follow from."""
    told = configuration()
    problems = []
    if int(told["consumer_timeout"]) < 2000 * Settings().worker.hold_s:
        problems.append("consumer_timeout is less than twice PENSTOCK_WORKER__HOLD_S")
    if int(told["max_message_size"]) < Settings().ingest.max_body_bytes + 1024**2:
        problems.append("max_message_size is less than one change of the largest body may take")
    return problems


def check_definitions() -> list[str]:
    """See that the files are those that the code writes."""
    return [
        f"{name} is not what the code says: make docs"
        for name, text in files().items()
        if (FOLDER / name).read_text("utf-8") != text
    ]


def check_node() -> list[str]:
    """Start a node with all of it, import, and declare and ask as the users may."""
    with open_folder() as folder:
        return asyncio.run(_check_node(folder))


async def _check_node(folder: Path) -> list[str]:
    authority = Authority(folder, "ca")
    issued = authority.issue("rabbitmq", account=service_account(SERVICE_USER))
    tls_port = free_port()
    told = {name: text for name, text in configuration().items() if name not in _OTHERWISE}
    told |= {"listeners.ssl.default": f"127.0.0.1:{tls_port}"}
    told |= {"management.ssl.port": str(free_port()), "prometheus.tcp.port": str(free_port())}
    for section in ("ssl_options", "management.ssl"):
        told[f"{section}.cacertfile"] = str(authority.ca_file)
        told[f"{section}.certfile"] = str(issued.certificate)
        told[f"{section}.keyfile"] = str(issued.key)
    server = PrivateRabbitMQ(folder / "server", plugins=plugins(), configuration=told)
    try:
        await server.start()
    except StackError as error:
        return str(error).splitlines()
    try:
        with_passwords = users()
        for user in with_passwords["users"]:
            del user["password_hash"], user["hashing_algorithm"]
            user["password"] = _PASSWORD
        texts = [(FOLDER / name).read_text("utf-8") for name in files()]
        # And again, over what is there. `rabbitmqctl import_definitions` does the same, and takes
        # a minute by itself where others are at work.
        for text in (*texts, texts[0], json.dumps(with_passwords)):
            await _import(server.management_url, text)
        problems = await _declared(tls_port, authority.ca_file)
        return problems + await _policies(server.management_url, told["prometheus.tcp.port"])
    except (StackError, AMQPError, OSError, aiohttp.ClientError) as error:
        return str(error).splitlines() or [repr(error)]
    finally:
        # Killed first: its good order takes seconds, for data that nobody wants.
        await server.kill()
        await server.stop()


async def _import(management_url: str, text: str) -> None:
    url = URL(management_url)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {"Content-Type": "application/json"}
    login = aiohttp.BasicAuth(url.user or "", url.password or "")
    async with (
        aiohttp.ClientSession(timeout=timeout, auth=login, headers=headers) as session,
        session.post(url.with_user(None) / "api/definitions", data=text) as answer,
    ):
        if not answer.ok:
            raise StackError(await answer.text())


async def _connect(tls_port: int, ca_file: Path, name: str) -> AbstractConnection:
    return await aio_pika.connect(
        f"amqps://{name}:{_PASSWORD}@127.0.0.1:{tls_port}/{VHOST}",
        ssl_context=ssl.create_default_context(cafile=str(ca_file)),
    )


async def _declared(tls_port: int, ca_file: Path) -> list[str]:
    """Declare, over TLS, what was imported: RabbitMQ refuses what differs, and who may not."""
    async with await _connect(tls_port, ca_file, "operator") as connection:
        await topology.declare(await connection.channel())
    for name in ("ingest", "worker"):
        async with await _connect(tls_port, ca_file, name) as connection:
            await topology.ensure(connection)
    return []


async def _policies(management_url: str, prometheus_port: str) -> list[str]:
    """Ask as the monitor which policy applies to each queue, and for metrics, until it is told.

    What a queue is counted as is known a while after its declaration (5 s, or more if it is busy).
    """
    until_s = time.monotonic() + _TOLD_WITHIN_S
    async with aiohttp.ClientSession() as session:
        while True:
            problems = await _untold(session, management_url, prometheus_port)
            if not problems or time.monotonic() > until_s:
                return problems
            await asyncio.sleep(_ASK_EVERY_S)


async def _untold(
    session: aiohttp.ClientSession, management_url: str, prometheus_port: str
) -> list[str]:
    problems = []
    url = f"http://127.0.0.1:{urlsplit(management_url).port}/api/queues/{VHOST}"
    login = aiohttp.BasicAuth(MONITOR, _PASSWORD)
    async with session.get(url, auth=login, raise_for_status=True) as answer:
        queues: list[dict[str, Any]] = await answer.json()
    async with session.get(f"http://127.0.0.1:{prometheus_port}/metrics") as answer:
        if topology.LOG not in await answer.text():
            problems.append("metrics tell nothing of the queues one by one")
    given = {queue["name"]: queue.get("effective_policy_definition") for queue in queues}
    for name in topology.queue_names():
        meant = topology.policy_of(name).definition
        if given.get(name) != meant:
            problems.append(f"{name}: policy {json.dumps(given.get(name))}, not {meant}")
    return problems


CHECKS: Final = (
    Check(
        "RabbitMQ: the configuration's numbers follow from the settings", (), check_configuration
    ),
    Check(
        "RabbitMQ: definitions.json and users.json are what the code says", (), check_definitions
    ),
    Check(
        "RabbitMQ: a node starts with the files, imports them, and users may do their work",
        ("rabbitmq-server",),
        check_node,
    ),
)
