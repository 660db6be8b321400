"""Penstock's processes of a campaign: by name, started again whenever they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final, Self

from ops.stack.ports import free_port
from tests.chaos.proxy import Proxy
from tests.chaos.target import SECRET
from tests.processes import PenstockProcesses

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chaos.servers import Servers
    from tests.chaos.target import Target
    from tests.processes import Running
    from tests.starting import Start

_COMMANDS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "ingest": ("ingest", {"PENSTOCK_INGEST__DRAIN_S": "8"}),
    "worker 1": ("worker", {"PENSTOCK_WORKER__DRAIN_S": "8"}),
    # Gives back what it holds while others still wait.
    "worker 2": ("worker", {"PENSTOCK_WORKER__DRAIN_S": "8", "PENSTOCK_WORKER__HOLD_S": "3"}),
    "worker 3": ("worker", {"PENSTOCK_WORKER__DRAIN_S": "8", "PENSTOCK_WORKER__BATCH_COUNT": "7"}),
    "relay 1": ("relay", {}),
    "relay 2": ("relay", {}),
}
_KEPT_EVERY_S: Final = 0.1
# Of a machine that is busy with other things as well.
_READY_S: Final = 90.0
_ENDED_S: Final = 60.0


class Site:
    """The processes, and proxies on their ways to broker, database and target."""

    def __init__(
        self, servers: Servers, database: str, target: Target, folder: Path, start: Start
    ) -> None:
        self.servers = servers
        self.database = database
        self.target = target
        self.to_broker = Proxy(servers.port_of_broker)
        self.to_database = Proxy(servers.port_of_database)
        self.to_target = Proxy(lambda: target.port)
        self.target_url = f"http://127.0.0.1:{self.to_target.port}"
        self.broken: list[str] = []
        environment = {
            "PENSTOCK_BROKER__URL": servers.broker_url(self.to_broker.port),
            "PENSTOCK_DATABASE__URL": servers.database_url(database, self.to_database.port),
            "PENSTOCK_LOG__FORMAT": "json",
            "PENSTOCK_RELAY__WEBHOOK_URL": f"{self.target_url}/enrollments",
            "PENSTOCK_RELAY__WEBHOOK_SECRET": SECRET,
            "PENSTOCK_RELAY__ALLOW_NETWORKS": "127.0.0.0/8",
            "PENSTOCK_RELAY__LEASE_S": "6",
            "PENSTOCK_RELAY__TIMEOUT_S": "3",
            "PENSTOCK_RELAY__REQUESTS_PER_S": "200",
        }
        self.penstock = PenstockProcesses(environment, folder, start=start)
        self._ingest_port = str(free_port())
        self.ingest_url = self.penstock.ingest_url = f"http://127.0.0.1:{self._ingest_port}"
        self._running: dict[str, Running] = {}
        # A process that nobody asked to end must not end.
        self._asked: set[str] = set()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for proxy in (self.to_broker, self.to_database, self.to_target):
            await self._stack.enter_async_context(proxy)
        await self._stack.enter_async_context(self.penstock)
        return self

    async def __aexit__(self, *_: object) -> None:
        for running in self._running.values():
            _signal(running, signal.SIGCONT)
        await self._stack.aclose()

    def names(self, command: str) -> list[str]:
        """Return the names of the processes that run a command."""
        return [name for name, (runs, _) in _COMMANDS.items() if runs == command]

    async def start(self, name: str) -> None:
        """Start a process, and wait for nothing."""
        command, settings = _COMMANDS[name]
        port = {"PENSTOCK_INGEST__PORT": self._ingest_port} if command == "ingest" else {}
        self._running[name] = await self.penstock.launch(
            command, command.upper(), {**settings, **port}
        )
        self._asked.discard(name)

    async def start_all(self) -> None:
        """Start every process; return once all are ready."""
        await asyncio.gather(*map(self.start, _COMMANDS))
        await self.until_ready()

    async def until_ready(self) -> None:
        """Return once every process can do its work."""
        session = self.penstock.session
        await asyncio.gather(*(one.ready(session, _READY_S) for one in self._running.values()))

    async def kill(self, name: str) -> None:
        self._asked.add(name)
        await self._running[name].kill()

    async def terminate(self, name: str) -> None:
        """Ask a process to end; it has to do so in good order."""
        self._asked.add(name)
        running = self._running[name]
        try:
            code = await running.terminate(_ENDED_S)
        except TimeoutError:
            self.broken.append(f"{name} did not end within {_ENDED_S:.0f} s of SIGTERM")
            await running.kill()
        else:
            if code:
                self.broken.append(f"{name} ended with {code} on SIGTERM:\n{running.log[-1500:]}")

    def freeze(self, name: str) -> None:
        _signal(self._running[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        _signal(self._running[name], signal.SIGCONT)

    async def keep(self) -> None:
        """Start again, for ever, what ends unasked; each such end is a broken promise."""
        while True:
            for name, running in list(self._running.items()):
                if running.code is not None and name not in self._asked:
                    self.broken.append(f"{name} ended with {running.code}:\n{running.log[-1500:]}")
                    await self.start(name)
            await asyncio.sleep(_KEPT_EVERY_S)


def _signal(running: Running, number: signal.Signals) -> None:
    if running.code is None:
        os.kill(running.pid, number)
