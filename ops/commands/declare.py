"""`penstock declare`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from ops.errors import OpsError
from ops.flow.queues import why_no_broker
from ops.runtime import Runtime, pass_runtime, run
from ops.stack.home import BROKER_URL
from pipeline import topology
from pipeline.broker import connection_to

if TYPE_CHECKING:
    from pipeline.settings import Secret

_TIMEOUT_S: Final = 30.0


@click.command()
@pass_runtime
def declare(runtime: Runtime) -> None:
    """Declare RabbitMQ's exchanges and queues, for processes whose users may not."""
    run(_declare(runtime.settings(BROKER_URL).broker.url))
    click.echo("every exchange and queue is there")


async def _declare(url: Secret) -> None:
    try:
        async with (
            asyncio.timeout(_TIMEOUT_S),
            connection_to(url, "penstock declare") as connection,
        ):
            await topology.declare(await connection.channel())
    except (*CONNECTION_EXCEPTIONS, TimeoutError) as error:
        raise OpsError(why_no_broker(error)) from error
