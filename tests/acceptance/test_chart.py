"""Processes as the Helm chart has Kubernetes start, probe and end them; what KEDA sees."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import pytest

from pipeline import topology
from pipeline.objects import SObject
from tests.deployment.charts import container, environment, pods, rendered
from tests.deployment.check import found
from tests.servers import manage, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.stack import PrivateRabbitMQ
    from tests.deployment.charts import Document
    from tests.processes import PenstockProcesses, Running

pytestmark = pytest.mark.skipif(found("helm") is None, reason="helm renders the chart")

_POLL_S: Final = 0.05
RENDERING: Final = "an object of its own kind"
SECRETS: Final = {"PENSTOCK_RELAY__WEBHOOK_SECRET": "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0"}
NO_SERVER: Final = {
    "PENSTOCK_BROKER__URL": "amqp://nobody:nothing@127.0.0.1:9/penstock",
    "PENSTOCK_DATABASE__URL": "postgresql://nobody:nothing@127.0.0.1:9/penstock",
}
ANY_PORT: Final = {"PENSTOCK_INGEST__PORT": "0", "PENSTOCK_CONSOLE__PORT": "0"}
ROLES: Final = ("ingest", "worker-lead", "relay", "console")
PASSWORD: Final = "of-a-user-of-the-test"


def pod(name: str) -> Document:
    return pods(rendered(RENDERING))[f"Deployment penstock-{name}"]


async def start(penstock: PenstockProcesses, name: str, **others: str) -> Running:
    """Start what a pod runs, with its own environment but for ports, which are taken here."""
    command, *options = container(pod(name))["args"]
    settings = {
        variable: value
        for variable, value in environment(pod(name)).items()
        if value is not None and not variable.endswith("PORT")
    }
    return await penstock.launch(
        command, command.upper(), {**settings, **SECRETS, **others}, *options
    )


async def ask(penstock: PenstockProcesses, running: Running, template: Document, probe: str) -> int:
    """Return the status that a probe gets; 0 where nobody listens yet."""
    path = container(template)[probe]["httpGet"]["path"]
    try:
        async with penstock.session.get(f"{running.admin_url}{path}") as response:
            return response.status
    except aiohttp.ClientError:
        return 0


async def until_started(penstock: PenstockProcesses, running: Running, template: Document) -> None:
    """Return once the startup probe is content, or fail after as long as it may take."""
    startup = container(template)["startupProbe"]
    deadline_s = time.monotonic() + startup["periodSeconds"] * startup["failureThreshold"]
    while await ask(penstock, running, template, "startupProbe") != 200:
        assert time.monotonic() < deadline_s, running.log
        assert running.code is None, running.log
        await asyncio.sleep(_POLL_S)


@pytest.mark.parametrize("name", ROLES)
async def test_a_pod_gets_ready_and_ends_within_its_grace(
    penstock: PenstockProcesses, name: str
) -> None:
    template = pod(name)
    running = await start(penstock, name, **ANY_PORT)
    await until_started(penstock, running, template)
    await running.ready(penstock.session)
    assert await ask(penstock, running, template, "readinessProbe") == 200
    assert await ask(penstock, running, template, "livenessProbe") == 200
    assert await running.terminate(template["spec"]["terminationGracePeriodSeconds"]) == 0


async def test_pods_without_servers_live_and_are_not_ready(penstock: PenstockProcesses) -> None:
    started = {name: await start(penstock, name, **NO_SERVER, **ANY_PORT) for name in ROLES}
    for name, running in started.items():
        await until_started(penstock, running, pod(name))
        assert await ask(penstock, running, pod(name), "readinessProbe") == 503
        assert await ask(penstock, running, pod(name), "livenessProbe") == 200


@pytest.fixture
def keda_url(rabbitmq_server: PrivateRabbitMQ, broker_url: str) -> Iterator[str]:
    """What the Secret of the TriggerAuthentication holds, with the user of values.yaml."""
    user = new_name("keda")
    management = rabbitmq_server.management_url
    vhost = urlsplit(broker_url).path.removeprefix("/")
    manage(
        management, "PUT", f"/api/users/{user}", f'{{"password":"{PASSWORD}","tags":"management"}}'
    )
    nothing = '{"configure": "^$", "write": "^$", "read": "^$"}'
    manage(management, "PUT", f"/api/permissions/{vhost}/{user}", nothing)
    address = urlsplit(management)
    yield f"http://{user}:{PASSWORD}@{address.hostname}:{address.port}/api/queues/{vhost}"
    manage(management, "DELETE", f"/api/users/{user}")


async def test_keda_sees_what_waits_and_what_workers_hold(
    penstock: PenstockProcesses, broker_url: str, keda_url: str
) -> None:
    assert (await penstock.run("declare")).returncode == 0
    (trigger,) = next(
        one["spec"]["triggers"]
        for one in rendered(RENDERING)
        if one["kind"] == "ScaledObject" and one["metadata"]["name"].endswith("-lead")
    )
    queue_name = trigger["metadata"]["queueName"]
    assert queue_name == topology.queue_name(SObject.LEAD)
    async with await aio_pika.connect(broker_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        queue = await channel.get_queue(queue_name)
        for _ in range(3):
            await channel.default_exchange.publish(aio_pika.Message(b"x"), queue_name)
        await queue.get()
        told: tuple[int, int] = (0, 0)
        deadline_s = time.monotonic() + 60
        while told != (3, 2):
            assert time.monotonic() < deadline_s, told
            async with penstock.session.get(f"{keda_url}/{queue_name}") as response:
                assert response.status == 200
                document = await response.json()
            told = (document.get("messages", 0), document.get("messages_ready", 0))
            await asyncio.sleep(_POLL_S)
