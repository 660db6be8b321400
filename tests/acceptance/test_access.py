"""Every process as its own user of both servers, with the permissions of deploy/README.md.

What RabbitMQ has is what `deploy/rabbitmq/definitions.json` brings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import pytest
from aiohttp.test_utils import TestServer
from aiormq.exceptions import ChannelAccessRefused

from ops.broker_definitions import USERS, definitions
from pipeline import topology
from pipeline.database.access import Role
from pipeline.objects import SObject
from tests.salesforce import LEAD_ID, Salesforce, callout
from tests.servers import execute, manage, new_name
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.stack import PrivatePostgres, PrivateRabbitMQ
    from tests.processes import PenstockProcesses
    from tests.servers import LoopThread

    AsUser = Callable[[str], dict[str, str]]

PASSWORD: Final = "of-a-user-of-the-test"
SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
HOT: Final = {"Id": LEAD_ID, "Status": "Qualified", "Email": "ana@example.com", "Rating": "Hot"}


@pytest.fixture
def users(
    rabbitmq_server: PrivateRabbitMQ,
    postgres_server: PrivatePostgres,
    broker_url: str,
    database_url: str,
    server_loop: LoopThread,
) -> Iterator[AsUser]:
    """Return the URLs of a process's users, which exist for the length of the test."""
    suffix = new_name("user")
    management = rabbitmq_server.management_url
    vhost = urlsplit(broker_url).path.removeprefix("/")
    declared = {kind: what for kind, what in definitions().items() if kind != "vhosts"}
    manage(management, "POST", f"/api/definitions/{vhost}", json.dumps(declared))
    for name, may in USERS.items():
        user = f"{name}_{suffix}"
        account = json.dumps({"password": PASSWORD, "tags": ""})
        manage(management, "PUT", f"/api/users/{user}", account)
        manage(management, "PUT", f"/api/permissions/{vhost}/{user}", json.dumps(may._asdict()))
    for role in Role:
        user = f"{role.removeprefix('penstock_')}_{suffix}"
        server_loop.run(
            execute(postgres_server.url, f"CREATE USER {user} PASSWORD '{PASSWORD}' IN ROLE {role}")
        )

    def urls_of(name: str) -> dict[str, str]:
        def of(url: str) -> str:
            parts = urlsplit(url)
            place = parts.netloc.rpartition("@")[2]
            return parts._replace(netloc=f"{name}_{suffix}:{PASSWORD}@{place}").geturl()

        urls = {"PENSTOCK_DATABASE__URL": of(database_url)}
        return urls | ({"PENSTOCK_BROKER__URL": of(broker_url)} if name in USERS else {})

    yield urls_of
    for name in USERS:
        manage(management, "DELETE", f"/api/users/{name}_{suffix}")
    for role in Role:
        user = f"{role.removeprefix('penstock_')}_{suffix}"
        server_loop.run(execute(postgres_server.url, f"DROP USER {user}"))


@pytest.fixture
async def operator(users: AsUser, penstock: PenstockProcesses) -> PenstockProcesses:
    """Penstock's processes, which end before their users do; commands are run as the operator."""
    penstock.environment |= users("operator")
    return penstock


async def test_a_change_goes_all_the_way_with_each_process_as_its_own_user(
    operator: PenstockProcesses, users: AsUser
) -> None:
    assert (await operator.run("declare")).returncode == 0
    async with TestServer(Webhooks(SECRET).app) as target:
        await operator.start_ingest(**users("ingest"))
        org = await Salesforce.connect(operator)
        await operator.start_worker(**users("worker"))
        await operator.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=str(target.make_url("/")),
            PENSTOCK_RELAY__WEBHOOK_SECRET=SECRET,
            **users("relay"),
        )
        console = await operator.start_console(**users("console"))
        await org.accepted(callout([{"new": HOT}], operation="insert"))
        await operator.until_counted(1, "SELECT count(*) FROM outbox WHERE state = 'delivered'")
    dead = json.dumps(callout([{"new": {**HOT, "Score": "huge"}}], operation="insert"))
    await org.accepted(dead.replace('"huge"', "1e999999").encode())
    await operator.until_counted(1, "SELECT count(*) FROM dead_letter WHERE state = 'open'")
    # It dies again, once it has gone to the broker and back.
    result = await operator.run("dead", "replay", "--object", "lead", "--apply")
    assert result.returncode == 0, result.stderr
    again = "SELECT count(*) FROM dead_letter WHERE state = 'open' AND attempts = 2"
    await operator.until_counted(1, again)
    for command in (("replay", "--callouts", "--since", "1h"), ("replay", "--since", "1h")):
        result = await operator.run(*command, "--apply")
        assert result.returncode == 0, result.stderr
    assert await console.terminate() == 0


async def test_a_process_whose_password_becomes_wrong_lives_and_is_not_ready_until_it_is_right(
    operator: PenstockProcesses, users: AsUser, postgres_server: PrivatePostgres
) -> None:
    target = {
        "PENSTOCK_RELAY__WEBHOOK_URL": "http://127.0.0.1:9/",
        "PENSTOCK_RELAY__WEBHOOK_SECRET": SECRET,
    }
    idle = {
        "worker": await operator.start_worker("lead", **users("worker")),
        "relay": await operator.start_relay(**target, **users("relay")),
        "console": await operator.start_console(**users("console")),
    }
    ingest = await operator.start_ingest(**users("ingest"))

    async def set_passwords(password: str) -> None:
        for name in (*idle, "ingest"):
            user = urlsplit(users(name)["PENSTOCK_DATABASE__URL"]).username
            await execute(postgres_server.url, f"ALTER USER {user} PASSWORD '{password}'")
            await execute(
                postgres_server.url,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'",  # noqa: S608
            )

    await set_passwords("another")
    refused = "InvalidPasswordError: password authentication failed"
    for running in idle.values():
        await running.until_told(operator.session, f'"database": "{refused}')
    late = await operator.launch("worker", "WORKER", users("worker"))
    await late.until_told(operator.session, f'"database": "holding: {refused}')
    for running in (*idle.values(), late):
        async with operator.session.get(f"{running.admin_url}/healthz") as response:
            assert response.ok
    # The orgs that it has read are served.
    await ingest.ready(operator.session)
    await set_passwords(PASSWORD)
    for running in (*idle.values(), late):
        await running.ready(operator.session)


async def test_a_process_that_may_not_declare_says_who_should(
    operator: PenstockProcesses, users: AsUser, broker_url: str
) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(topology.LOG)
    worker = await operator.launch("worker", "WORKER", users("worker"))
    settings = {"PENSTOCK_INGEST__PORT": "0", **users("ingest")}
    ingest = await operator.launch("ingest", "INGEST", settings)
    await ingest.until_told(operator.session, "penstock declare")
    assert (await operator.run("declare")).returncode == 0
    await ingest.ready(operator.session)
    await worker.ready(operator.session)


async def test_ingest_reads_no_queue_and_a_worker_publishes_nothing(
    penstock: PenstockProcesses, users: AsUser
) -> None:
    del penstock
    queue = topology.queue_name(SObject.LEAD)
    async with await aio_pika.connect(users("ingest")["PENSTOCK_BROKER__URL"]) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await (await channel.get_queue(queue)).get(fail=False)
    async with await aio_pika.connect(users("worker")["PENSTOCK_BROKER__URL"]) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(topology.CHANGES)
        with pytest.raises(ChannelAccessRefused):
            await exchange.publish(aio_pika.Message(b""), "lead.update")


async def test_the_owner_drops_what_workers_may_not(penstock: PenstockProcesses) -> None:
    await penstock.fetch("SELECT penstock_make_partition(0, 604800000)")
    result = await penstock.run("migrate")
    assert "dropped change_19700101" in result.stderr
    assert await penstock.fetch("SELECT WHERE to_regclass('change_19700101') IS NOT NULL") == []
