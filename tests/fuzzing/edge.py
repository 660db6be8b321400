"""The real application of ingest, its RabbitMQ and PostgreSQL in memory, and no socket."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final, Self, cast
from unittest.mock import patch

import msgspec
from aiohttp import web

from ingest import changes
from ingest.connection import ConnectionHandler
from ingest.connections import Connections
from ingest.door import Door
from ingest.draining import UnderWay
from ingest.failed_signatures import FailedSignatures
from ingest.grouping import Grouper
from ingest.service import answer_problems, routes
from pipeline import envelope
from pipeline.signing import new_secret
from tests.fuzzing.requests import CODE, MAX_BODY_BYTES
from tests.fuzzing.wire import exchange
from tests.salesforce import SYNC_USER_ID
from tests.unit.ingest import edge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.database import Connection, Pool
    from pipeline.envelope import Item
    from tests.fuzzing.wire import Answer

_MAX_INT8: Final = 2**63
_SLICE_BYTES: Final = 2048
_ORG: Final = msgspec.structs.replace(
    edge.ORG,
    sync_user_id=SYNC_USER_ID,
    connect_code=CODE,
    stored_code=CODE,
    connect_code_expires_s=time.time() + 10**6,
)


class _Known(edge.Known):
    def __init__(self) -> None:
        super().__init__()
        self._orgs = {_ORG.org_id: _ORG}

    @property
    def stale(self) -> bool:
        return False

    async def read_one(self, connection: Connection, org_id: str) -> None:
        """The org stays as it is."""


class _Database:
    """Takes whatever PostgreSQL would take in a column, and knows an open handshake."""

    def acquire(self) -> contextlib.AbstractAsyncContextManager[Self]:
        return self._opened()

    transaction = acquire

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[Self]:
        yield self

    async def execute(self, _: str, *arguments: object) -> str:
        for argument in arguments:
            require_storable(argument)
        return "INSERT 0 1"

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        await self.execute(query, *arguments)
        return []

    async def fetchrow(self, query: str, *arguments: object) -> dict[str, Any]:
        await self.execute(query, *arguments)
        return {"next_secret": new_secret(), "conditions_version": 1, "is_first": False}


def require_storable(value: object) -> None:
    """Fail on what a column of PostgreSQL does not take."""
    if isinstance(value, str):
        assert "\x00" not in value, value
        value.encode()
    elif isinstance(value, int):
        assert -_MAX_INT8 <= value < _MAX_INT8, value
    elif isinstance(value, list):
        for item in value:
            require_storable(item)


class FuzzedEdge:
    """What answers requests: the routes, middlewares and parser that serve Salesforce."""

    def __init__(self) -> None:
        self.published: list[Item] = []
        pool = cast("Pool", _Database())
        registry = _Known()
        # Nobody is a stranger for having failed often: that is tested elsewhere.
        door = Door(registry, lambda _: None, failures=FailedSignatures(10**9))
        self._wired = edge.Edge(
            Grouper(self._publish, 5.0),
            pool=pool,
            door=door,
            max_body_bytes=MAX_BODY_BYTES,
            org_callouts_per_s=10**9,
        )
        connection = ConnectionHandler(
            registry=registry,
            door=door,
            in_flight=self._wired.in_flight,
            pool=pool,
        )
        self._connections = Connections(self._wired.settings)
        app = web.Application(
            middlewares=[self._connections.watch, UnderWay().watch, answer_problems]
        )
        app.add_routes(routes(self._wired.intake, connection, self._wired.requests, pool))
        self._runner = web.AppRunner(app)
        # So small that callouts are sliced, and what inflates to much goes on as text.
        self._small_messages = patch.object(changes, "MAX_MESSAGE_BYTES", _SLICE_BYTES)

    async def open(self) -> None:
        """Get ready to answer."""
        self._small_messages.start()
        await self._runner.setup()

    async def close(self) -> None:
        """Answer no more."""
        await self._runner.cleanup()
        self._small_messages.stop()

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._connections.open)

    @property
    def held_bytes(self) -> int:
        """What requests under way hold."""
        return self._wired.in_flight.held_bytes

    async def answers(self, pieces: Sequence[bytes]) -> tuple[list[Answer], list[Item]]:
        """Return what a connection is answered, and what of it was published."""
        server = self._runner.server
        assert server is not None
        self.published.clear()
        found = await exchange(self._connections.protocol(server), pieces)
        return found, list(self.published)

    async def _publish(self, items: Sequence[Item], _: str) -> None:
        # As they come out of the broker.
        self.published += envelope.decode(envelope.encode(list(items)))
