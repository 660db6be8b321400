"""The queues of all objects, or why they cannot be told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ProbableAuthenticationError,
)

from pipeline import topology
from pipeline.broker import connection_to
from pipeline.certificates import refusal
from pipeline.objects import SObject
from pipeline.queues import Queue, read_queue

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection

    from pipeline.settings import Secret

_NAME: Final = "penstock flow"
_TIMEOUT_S: Final = 10.0


class Queues(msgspec.Struct, frozen=True):
    """The queues by object; without a word from RabbitMQ none, and `problem` says why."""

    by_object: dict[SObject, Queue]
    problem: str | None = None


async def read_queues(url: Secret) -> Queues:
    """Ask for every queue, on a connection of its own; at most 10 s."""
    try:
        async with asyncio.timeout(_TIMEOUT_S), connection_to(url, _NAME) as connection:
            return await queues_on(connection)
    except (*CONNECTION_EXCEPTIONS, TimeoutError, OSError) as error:
        return Queues({}, why_no_broker(error))


def why_no_broker(error: BaseException) -> str:
    """Say why there is no connection to RabbitMQ; shows no password."""
    match error:
        case AuthenticationError() | ProbableAuthenticationError():
            return "RabbitMQ refuses the user or the password in PENSTOCK_BROKER__URL"
        case TimeoutError():
            return "RabbitMQ does not answer in time"
        case _:
            return f"RabbitMQ does not answer: {refusal(error, 'BROKER') or error}"


async def queues_on(connection: AbstractConnection) -> Queues:
    """Ask for every queue on a connection."""
    asked = {sobject: await read_queue(connection, sobject) for sobject in SObject}
    found = {sobject: queue for sobject, queue in asked.items() if queue is not None}
    missing = [topology.queue_name(sobject) for sobject in SObject if sobject not in found]
    return Queues(found, f"not declared yet: {', '.join(missing)}" if missing else None)
