"""Penstock's processes as a test starts, kills and asks them: the real commands, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp
import asyncpg
import msgspec

from ops.stack.ports import free_port
from pipeline.database.access import Role
from tests.starting import AFRESH, Command, Standard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.starting import Process, Start

_READY_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02
_ROLE_OF: Final = {role.removeprefix("penstock_"): role for role in Role}
# This very process's.
_STDIN: Final = 0
_STDOUT: Final = 1
_DENIED: Final = "permission denied for"


class Running:
    """One process that was started."""

    def __init__(self, name: str, process: Process, log_path: Path, admin_port: int) -> None:
        self.name = name
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self._process = process
        self._log_path = log_path

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._process.returncode

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def memory_bytes(self, line: str) -> int:
        """Return `VmRSS` (now) or `VmHWM` (the most so far)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = dict(each.split(":", 1) for each in status.splitlines())
        return int(found[line].split()[0]) * 1024

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def terminate(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """SIGTERM, and return the exit code."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        return await self.ended(timeout_s)

    async def ended(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Return the exit code once it has ended."""
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    async def ready(
        self, session: aiohttp.ClientSession, timeout_s: float = _READY_TIMEOUT_S
    ) -> None:
        """Return once the process says that it can do its work."""
        try:
            async with asyncio.timeout(timeout_s):
                while not await self._is_ready(session):
                    assert self._process.returncode is None, f"{self.name} ended:\n{self.log}"
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise AssertionError(f"{self.name} did not become ready:\n{self.log}") from None

    async def until_told(self, session: aiohttp.ClientSession, words: str) -> None:
        """Return once `/readyz` says that the process is not ready, in these words."""
        told = ""
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S):
                while words not in told:
                    assert self._process.returncode is None, f"{self.name} ended:\n{self.log}"
                    await asyncio.sleep(_POLL_S)
                    told = await self._problems(session)
        except TimeoutError:
            raise AssertionError(f"{self.name} says {told!r}, not {words!r}") from None

    async def _problems(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(f"{self.admin_url}/readyz") as response:
                return "" if response.ok else await response.text()
        except aiohttp.ClientError:
            return ""

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.admin_url}/readyz") as response:
                return response.ok
        except aiohttp.ClientError:
            return False


class Result:
    """What a command printed and returned."""

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr.decode()

    def json(self) -> Any:  # noqa: ANN401  the JSON of whatever command it was
        assert self.returncode == 0, self.stderr
        return msgspec.json.decode(self.stdout)


class PenstockProcesses:
    """Starts `penstock`'s processes, and runs other commands beside them.

    `in_roles`: each in a role of its own in the database, as `pipeline.database.access` has them.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        *,
        in_roles: bool = False,
        start: Start = AFRESH,
    ) -> None:
        self.environment = {**os.environ, **environment}
        self.ingest_url = ""
        self.console_url = ""
        self.session: aiohttp.ClientSession
        self._folder = folder
        self._in_roles = in_roles
        self._start_command = start
        self._started: list[Running] = []

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(running.kill() for running in self._started))
        await self.session.close()
        denied = {line for one in self._started for line in one.log.splitlines() if _DENIED in line}
        assert not denied, f"a role lacks a privilege: {denied}"

    async def start_ingest(self, **settings: str) -> Running:
        """Start an ingest, on a new port unless the last one's is asked for, and wait for it."""
        port = settings.pop("PENSTOCK_INGEST__PORT", None) or str(free_port())
        self.ingest_url = f"http://127.0.0.1:{port}"
        return await self._start("ingest", "INGEST", {"PENSTOCK_INGEST__PORT": port, **settings})

    async def start_worker(self, *objects: str, **settings: str) -> Running:
        """Start a worker for some objects, or for all, and wait until it consumes."""
        options = [option for name in objects for option in ("--object", name)]
        return await self._start("worker", "WORKER", settings, *options)

    async def start_console(self, **settings: str) -> Running:
        """Start a console on a new port and wait for it."""
        port = str(free_port())
        self.console_url = f"http://127.0.0.1:{port}"
        return await self._start("console", "CONSOLE", {"PENSTOCK_CONSOLE__PORT": port, **settings})

    async def start_relay(self, **settings: str) -> Running:
        """Start a relay and wait for it."""
        return await self._start("relay", "RELAY", settings)

    async def _start(
        self, command: str, section: str, settings: Mapping[str, str], *options: str
    ) -> Running:
        running = await self.launch(command, section, settings, *options)
        await running.ready(self.session)
        return running

    async def launch(
        self, command: str, section: str, settings: Mapping[str, str], *options: str
    ) -> Running:
        """Start a process with its section's admin port on a free one, and wait for nothing."""
        admin_port = free_port()
        log_path = self._folder / f"{command}-{len(self._started)}.log"
        environment = {
            **self.environment,
            **self._in_role(_ROLE_OF.get(command, Role.OPERATOR)),
            f"PENSTOCK_{section}__ADMIN_PORT": str(admin_port),
            **settings,
        }
        with log_path.open("wb") as log:
            process = await self._start_command(
                Command((command, *options), environment),
                Standard(_STDIN, _STDOUT, log.fileno()),
            )
        running = Running(command, process, log_path, admin_port)
        self._started.append(running)
        return running

    async def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run one `penstock` command to its end."""
        # Who migrates, readies a restored database, or erases somebody owns the tables.
        is_erasing = arguments[0] == "forget" and "--apply" in arguments
        is_owner = is_erasing or arguments[0] in {"migrate", "restored"}
        role = None if is_owner else Role.OPERATOR
        with contextlib.ExitStack() as stack:
            given, printed, said = (stack.enter_context(TemporaryFile()) for _ in Standard._fields)
            given.write(stdin.encode())
            given.seek(0)
            process = await self._start_command(
                Command(arguments, self.environment | self._in_role(role)),
                Standard(given.fileno(), printed.fileno(), said.fileno()),
            )
            try:
                returncode = await process.wait()
            except asyncio.CancelledError:
                process.send_signal(signal.SIGKILL)
                raise
            printed.seek(0)
            said.seek(0)
            return Result(returncode, printed.read(), said.read())

    def _in_role(self, role: Role | None) -> dict[str, str]:
        """Return the URL of the database for a role; whoever has none is the owner."""
        if not self._in_roles or role is None:
            return {}
        url = self.environment["PENSTOCK_DATABASE__URL"]
        return {"PENSTOCK_DATABASE__URL": f"{url}&role={role}"}

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask the database."""
        async with self._database() as connection:
            return list(await connection.fetch(query, *arguments))

    async def until_counted(self, expected: int, query: str, *arguments: object) -> None:
        """Return once a query that counts says `expected`; fail with what it said instead."""
        counted = None
        try:
            async with asyncio.timeout(_READY_TIMEOUT_S), self._database() as connection:
                while counted != expected:
                    counted = await connection.fetchval(query, *arguments)
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise AssertionError(f"{counted} instead of {expected}: {query}") from None

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        connection = await asyncpg.connect(self.environment["PENSTOCK_DATABASE__URL"])
        try:
            yield connection
        finally:
            await connection.close()
