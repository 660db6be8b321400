"""Following tables: read when they are said to have changed, on reconnect, and every 30 s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.certificates import told
from pipeline.database.hosts import CONNECT_TIMEOUT_S, DATABASE_ERRORS, Hosts
from pipeline.database.schema import require_migrated
from pipeline.errors import TransientError
from pipeline.lifecycle import first_of, wait_or_stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pipeline.database.pool import Connection
    from pipeline.settings import Secret

    Read = Callable[[Connection], Awaitable[None]]

log = structlog.get_logger()

REFRESH_S: Final = 30.0
_RECONNECT_S: Final = 0.5


class Following:
    """Calls the `read` of each channel of `reads` whenever what it reads may have changed.

    `name` is the connection's, for whoever looks at the server. What was read is fresh while it
    listens; `failure` is why it last could not.
    """

    def __init__(self, database_url: Secret, name: str, reads: Mapping[str, Read]) -> None:
        self._hosts = Hosts(database_url)
        self._name = name
        self._reads = reads
        self.is_listening = False
        self.failure: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until `stop`."""
        while not stop.is_set():
            try:
                await self._follow(stop)
            except (*DATABASE_ERRORS, TransientError) as error:
                self.failure = told(error, "DATABASE")
                log.warning("not_listening", to=sorted(self._reads), error=told(error, "DATABASE"))
                await wait_or_stop(stop, _RECONNECT_S)

    async def _follow(self, stop: asyncio.Event) -> None:
        connection = await self._hosts.connect(
            command_timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": self._name},
        )
        lost, told = asyncio.Event(), asyncio.Event()
        changed = set(self._reads)

        def on_lost(_: object) -> None:
            lost.set()
            told.set()

        def on_told(_connection: object, _pid: int, channel: str, _payload: object) -> None:
            changed.add(channel)
            told.set()

        connection.add_termination_listener(on_lost)
        try:
            await require_migrated(connection)
            for channel in self._reads:
                await connection.add_listener(channel, on_told)
            while not stop.is_set() and not lost.is_set():
                told.clear()
                due, changed = changed, set()
                for channel in due:
                    await self._reads[channel](connection)
                self.is_listening = True
                if not await first_of(stop.wait(), told.wait(), timeout_s=REFRESH_S):
                    changed = set(self._reads)
        finally:
            self.is_listening = False
            if not connection.is_closed():
                await connection.close(timeout=CONNECT_TIMEOUT_S)
