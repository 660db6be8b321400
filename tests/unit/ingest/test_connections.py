from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import StreamReader, web

from ingest.connections import Connection, Connections
from pipeline.settings import Ingest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGER_S = 31.0


async def answer(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response()


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections(Ingest())
    yield connections
    for connection in connections.open:
        connection.close()


def refused(connections: Connections) -> tuple[Connection, StreamReader]:
    """Return a connection whose request was answered before its body had come."""
    connection = connections.protocol(web.Server(answer))
    assert isinstance(connection, Connection)
    connections.open.add(connection)
    body = StreamReader(connection, 2**16, loop=asyncio.get_running_loop())
    connection.leave(body)
    return connection, body


async def test_a_body_that_goes_on_coming_to_what_is_answered_is_not_waited_for(
    connections: Connections,
) -> None:
    connection, _ = refused(connections)
    connections.cut_slow()
    assert connection in connections.open
    connection.since -= LONGER_S
    connections.cut_slow()
    assert connection not in connections.open


async def test_a_connection_rests_once_the_body_of_what_was_refused_has_come(
    connections: Connections,
) -> None:
    connection, body = refused(connections)
    body.feed_eof()
    connection.since -= LONGER_S
    connections.cut_slow()
    assert connection in connections.open
