"""What checks look at: the settings, a connection to each server, and the flow."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from ops.database import connected
from ops.doctor.finding import NotMade
from ops.errors import OpsError
from ops.flow import Queues, read_flow
from ops.flow.queues import queues_on, why_no_broker
from pipeline.broker import connection_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aio_pika.abc import AbstractConnection

    from ops.flow import Flow
    from pipeline.database import Connection
    from pipeline.settings import Settings

_NAME: Final = "penstock doctor"
_NO_BROKER: Final = "PENSTOCK_BROKER__URL is not set"
_NO_DATABASE: Final = "PENSTOCK_DATABASE__URL is not set"


class Subject:
    """Everything that is there to be looked at; what is not there says why when it is asked for."""

    def __init__(
        self,
        settings: Settings,
        database: Connection | str,
        broker: AbstractConnection | str,
    ) -> None:
        self.settings = settings
        self._database = database
        self._broker = broker
        self._queues: Queues | None = None
        self._flow: Flow | None = None

    @property
    def database(self) -> Connection:
        """The database.

        Raises:
            NotMade: it does not answer.
        """
        if isinstance(self._database, str):
            raise NotMade("PostgreSQL does not answer")
        return self._database

    @property
    def broker(self) -> AbstractConnection:
        """The broker.

        Raises:
            NotMade: it does not answer.
        """
        if isinstance(self._broker, str):
            raise NotMade("RabbitMQ does not answer")
        return self._broker

    @property
    def database_problem(self) -> str | None:
        """Why the database does not answer, or None."""
        return self._database if isinstance(self._database, str) else None

    @property
    def broker_problem(self) -> str | None:
        """Why the broker does not answer, or None."""
        return self._broker if isinstance(self._broker, str) else None

    async def queues(self) -> Queues:
        """Return what the broker says of the queues; asked once.

        Raises:
            NotMade: it does not answer.
        """
        if self._queues is None:
            self._queues = await queues_on(self.broker)
        return self._queues

    async def flow(self) -> Flow:
        """Return the flow of the last hour; read once, as far as there is a broker.

        Raises:
            NotMade: there is no database.
        """
        if self._flow is None:
            has_broker = self.broker_problem is None
            queues = await self.queues() if has_broker else Queues({}, self.broker_problem)
            self._flow = await read_flow(self.database, queues)
        return self._flow


@contextlib.asynccontextmanager
async def subject_of(settings: Settings) -> AsyncIterator[Subject]:
    """Connect to what there is; close it after the block."""
    async with contextlib.AsyncExitStack() as stack:
        database: Connection | str = _NO_DATABASE
        if settings.database.url:
            try:
                database = await stack.enter_async_context(connected(settings.database.url))
            except OpsError as error:
                database = str(error)
        broker: AbstractConnection | str = _NO_BROKER
        if settings.broker.url:
            try:
                broker = await stack.enter_async_context(connection_to(settings.broker.url, _NAME))
            except (*CONNECTION_EXCEPTIONS, TimeoutError, OSError) as error:
                broker = why_no_broker(error)
        yield Subject(settings, database, broker)
