"""Checks of RabbitMQ: version, queues as declared, their members, alarms, policies."""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aio_pika
import aiohttp
from aio_pika.exceptions import (
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
)
from yarl import URL

from ops.doctor.finding import NeedsSetting, NotMade, Verdict, fine, wrong
from ops.doctor.policies import policy_of_queue
from pipeline import topology
from pipeline.broker import connection_to
from pipeline.certificates import refusal
from pipeline.hosts import urls_of

if TYPE_CHECKING:
    from ops.doctor.subject import Subject

_NAME: Final = "penstock doctor alarms"
_MIN_VERSION: Final = (3, 10)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_ALARM_S: Final = 3.0
_HTTP_TIMEOUT_S: Final = 5.0
# Of a queue: one of them may be lost.
_MEMBER_COUNT: Final = 3
_MANAGEMENT_URL: Final = "PENSTOCK_BROKER__MANAGEMENT_URL"
_ALARMS: Final = "rabbitmq-diagnostics alarms   (free memory or disk; it resumes by itself)"


async def answers(subject: Subject) -> Verdict:
    """See that RabbitMQ answers, and is one that Penstock runs on."""
    if subject.broker_problem is not None:
        return wrong(
            subject.broker_problem,
            "start RabbitMQ, or set PENSTOCK_BROKER__URL to where it is, with a user that it knows"
            " (rabbitmqctl list_users)",
        )
    version = _version(subject)
    if _numbers(version) < _MIN_VERSION:
        return wrong(f"RabbitMQ {version} is too old", "upgrade RabbitMQ to 3.10 or later")
    return fine(f"RabbitMQ {version} answers")


async def queues(subject: Subject) -> list[Verdict]:
    """See that every queue is there, as this version declares it."""
    found = []
    for name in topology.queue_names():
        async with subject.broker.channel() as channel:
            try:
                await channel.declare_queue(name, passive=True)
                # What is there already is compared and left as it is.
                await channel.declare_queue(
                    name, durable=True, arguments=topology.queue_arguments(name)
                )
            except ChannelNotFoundEntity:
                mend = "penstock worker   (whoever connects first declares what is missing)"
                found.append(wrong(f"there is no queue {name}", mend))
            except ChannelPreconditionFailed as error:
                mend = f"drain it, then: rabbitmqctl delete_queue {name}   (a worker makes it anew)"
                found.append(wrong(f"queue {name} was declared otherwise: {_said(error)}", mend))
    return found or [fine("every queue is there as it should be")]


async def takes_messages(subject: Subject) -> Verdict:
    """See that RabbitMQ confirms: no alarm of memory or disk has it stop reading."""
    if subject.broker_problem is not None:
        raise NotMade("RabbitMQ does not answer")
    # A broker with an alarm stops reading from whoever publishes: not from who asks other things.
    async with connection_to(subject.settings.broker.url, _NAME) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=False)
        # To no queue: it is confirmed and forgotten.
        nowhere = f"penstock.doctor.{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(_ALARM_S):
                # The first makes the connection one that publishes; the next is what is not read.
                for _ in range(2):
                    await channel.default_exchange.publish(
                        aio_pika.Message(b""), nowhere, mandatory=False
                    )
        except (TimeoutError, DeliveryError):
            return wrong(f"RabbitMQ has confirmed nothing for {_ALARM_S:.0f} s", _ALARMS)
    return fine("RabbitMQ confirms what is published")


async def alarms(subject: Subject) -> list[Verdict]:
    """See that no node of the cluster is short of memory or disk, or cut off."""
    found = []
    for node in await _ask(subject, "/api/nodes"):
        name = node.get("name", "?")
        if not node.get("running", True):
            found.append(wrong(f"node {name} does not run", "rabbitmqctl cluster_status"))
        for alarm, what in (("mem_alarm", "memory"), ("disk_free_alarm", "disk")):
            if node.get(alarm):
                found.append(wrong(f"node {name} is short of {what} and takes nothing", _ALARMS))
        if node.get("partitions"):
            found.append(wrong(f"node {name} is cut off from others", "rabbitmqctl cluster_status"))
    return found or [fine("no node has an alarm")]


async def policies(subject: Subject) -> list[Verdict]:
    """See that no policy overrides what queues were declared with, and none is missing."""
    version, vhost = _numbers(_version(subject)), _vhost(subject)
    queues = await _ask_for_queues(subject)
    found = [verdict for queue in queues if (verdict := policy_of_queue(queue, version, vhost))]
    return found or [fine("no policy takes anything from Penstock's queues")]


async def members(subject: Subject) -> list[Verdict]:
    """See that every queue has as many members as it should, and all of them are there.

    A node that joined a cluster after the queues were declared has none of them.
    """
    nodes = {str(node.get("name")) for node in await _ask(subject, "/api/nodes")}
    wanted_count = min(_MEMBER_COUNT, len(nodes))
    found = []
    for queue in await _ask_for_queues(subject):
        name, on = queue["name"], set(queue.get("members") or ())
        if missing := on - set(queue.get("online") or ()):
            told = f"{name} lacks its members on {', '.join(sorted(missing))}"
            found.append(wrong(told, "rabbitmqctl cluster_status"))
        # Of a stream's members the API hears only now and then.
        elif name != topology.LOG and len(on) < wanted_count:
            node, vhost = min(nodes - on), _vhost(subject)
            grow = f"rabbitmq-queues grow {node} all --vhost-pattern '^{re.escape(vhost)}$'"
            log = f"rabbitmq-streams add_replica --vhost {vhost} {topology.LOG} {node}"
            told = f"{name} has {len(on)} of {wanted_count} members"
            found.append(wrong(told, f"{grow} --queue-pattern '^penstock[.]'; {log}"))
    return found or [fine("all queues have their members")]


async def _ask_for_queues(subject: Subject) -> list[dict[str, Any]]:
    ours = set(topology.queue_names())
    queues = await _ask(subject, f"/api/queues/{quote(_vhost(subject), safe='')}")
    return [queue for queue in queues if queue.get("name") in ours]


def _version(subject: Subject) -> str:
    transport = subject.broker.transport
    properties: Any = transport.connection.server_properties if transport else {}
    return str(properties.get("version", "?"))


def _numbers(version: str) -> tuple[int, int]:
    """Return major and minor; of what is none, those of the newest."""
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2])) if found else (sys.maxsize, 0)


def _said(error: BaseException) -> str:
    found = re.search(r"inequivalent arg '([^']+)'", str(error))
    return f"its {found[1]} differs" if found else str(error)


def _vhost(subject: Subject) -> str:
    # Every node has the same.
    url = urls_of(subject.settings.broker.url.value)[0]
    return URL(url).path.removeprefix("/") or "/"


async def _ask(subject: Subject, path: str) -> list[dict[str, Any]]:
    """Ask the management API.

    Raises:
        NeedsSetting: it is not said where that is.
        NotMade: it does not answer with a list.
    """
    if not subject.settings.broker.management_url:
        raise NeedsSetting(_MANAGEMENT_URL)
    # User and password in it are sent as they should be.
    base = subject.settings.broker.management_url.value
    url = URL(base.rstrip("/") + path, encoded=True)
    ca_file = subject.settings.broker.ca_file or None
    timeout = aiohttp.ClientTimeout(total=_HTTP_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, ssl=ssl.create_default_context(cafile=ca_file)) as response,
        ):
            if not response.ok:
                raise NotMade(f"the management API answered {response.status}")
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = refusal(error, "BROKER") or type(error).__name__
        raise NotMade(f"the management API does not answer: {why}") from error
    if not isinstance(answer, list):
        raise NotMade("the management API answered otherwise than with a list")
    return answer
