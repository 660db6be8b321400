"""The local stack of the trial, and the machine's commands that runbooks use on it.

Private servers with the users that deploy/README.md describes; Penstock's processes by the names of
their systemd units, with settings from a file; a target. `systemctl`, `journalctl` and RabbitMQ's
tools reach it through a socket, since all of that is nobody's but the trial's.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from aiohttp import web

from ops.stack import Child, PrivatePostgres, PrivateRabbitMQ, StackError, Supervised
from ops.stack.errors import tail_of
from ops.stack.ports import LOOPBACK, free_port
from pipeline.database.access import Role
from tests.alerts.runbook import UNITS_FOLDER
from tests.mixmax import Mixmax
from tests.servers import migrated

if TYPE_CHECKING:
    from tests.alerts.prometheus import Prometheus

VHOST: Final = "penstock"
_PASSWORD: Final = "trial"
# What each user may do in the virtual host, as deploy/README.md has it.
_PERMISSIONS: Final = {
    "ingest": (r"^penstock\.progress", r"^penstock\.(changes$|progress\.)", r"^penstock\.progress"),
    "worker": (r"^penstock\.progress$", r"^penstock\.progress$", r"^penstock\.(changes|dead)\."),
    "console": ("^$", r"^(penstock\.replay|amq\.default)$", r"^penstock\.log$"),
    "operator": (r"^penstock\.", r"^(penstock\..*|amq\.default)$", r"^penstock\."),
}
_TOOLS: Final = ("rabbitmqctl", "rabbitmq-queues", "rabbitmq-streams", "rabbitmq-diagnostics")
_FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Unit(NamedTuple):
    """A systemd unit of Penstock: what it runs, and whose section has its admin port."""

    command: tuple[str, ...]
    section: str

    @property
    def user(self) -> str:
        return self.section.lower()


UNITS: Final = {
    "penstock-ingest": Unit(("ingest",), "INGEST"),
    "penstock-worker@lead": Unit(("worker", "--object", "lead"), "WORKER"),
    "penstock-worker@contact": Unit(("worker", "--object", "contact"), "WORKER"),
    "penstock-relay": Unit(("relay",), "RELAY"),
    "penstock-console": Unit(("console",), "CONSOLE"),
}


class Machine:
    """Everything, in one folder. `target_status` is what the target answers."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.folder = folder
        self.settings = folder / "etc"
        self.target_status = 204
        self.session: aiohttp.ClientSession
        self.prometheus: Prometheus
        self.clock_off_s = 0.0
        ports = [str(free_port()) for _ in range(2)]
        self.node_addresses = [f"{LOOPBACK}:{port}" for port in ports]
        self.broker = PrivateRabbitMQ(
            folder / "one",
            name="one",
            plugins=["rabbitmq_management", "rabbitmq_prometheus"],
            configuration=_scraped_at(ports[0]),
        )
        self.second = PrivateRabbitMQ(
            folder / "two",
            name="two",
            plugins=["rabbitmq_management_agent", "rabbitmq_prometheus"],
            configuration=_scraped_at(ports[1]),
            first=self.broker,
        )
        self.postgres = PrivatePostgres(folder / "postgres", settings=_FORGETFUL)
        self.admin = {unit: f"{LOOPBACK}:{free_port()}" for unit in UNITS}
        self.ingest_url = f"http://{LOOPBACK}:{free_port()}"
        self._console_port = str(free_port())
        self._secret = secret
        self._running: dict[str, Supervised] = {}
        self._target: web.AppRunner | None = None
        self._mixmax = web.AppRunner(Mixmax().app, access_log=None, shutdown_timeout=0.1)
        self._socket: asyncio.Server | None = None

    @property
    def targets(self) -> dict[str, list[str]]:
        """What Prometheus scrapes to begin with, by job."""
        jobs: dict[str, list[str]] = {}
        for unit, address in self.admin.items():
            jobs.setdefault(unit.partition("@")[0], []).append(address)
        nodes = self.node_addresses[:1]
        return {**jobs, "rabbitmq": nodes, "rabbitmq-queues": nodes}

    def url_for(self, user: str) -> str:
        """Return the database's URL for a user of it."""
        port = urlsplit(self.postgres.url).port
        return f"postgresql://{user}:{_PASSWORD}@{LOOPBACK}:{port}/penstock?sslmode=disable"

    def broker_url_for(self, user: str) -> str:
        """Return RabbitMQ's URL for a user of it."""
        return f"amqp://{user}:{_PASSWORD}@{LOOPBACK}:{urlsplit(self.broker.url).port}/{VHOST}"

    @property
    def environment(self) -> dict[str, str]:
        """What whoever follows a runbook has: Penstock's settings as an operator, and the tools."""
        return {
            "PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TRIAL_SOCKET": str(self.folder / "trial.sock"),
            "PENSTOCK_BROKER__URL": self.broker_url_for("operator"),
            "PENSTOCK_DATABASE__URL": self.url_for("operator"),
            "PENSTOCK_LOG__FORMAT": "json",
            "ADMIN_URL": self.postgres.url,
        }

    async def start(self) -> None:
        """Start it all; return when every process is ready."""
        self.session = aiohttp.ClientSession()
        await asyncio.gather(self.postgres.start(), self.broker.start())
        await self._make_users()
        self._write_settings(await self.open_target(), await _served(self._mixmax))
        self._offer_tools()
        self._socket = await asyncio.start_unix_server(
            self._serve, self.environment["TRIAL_SOCKET"]
        )
        await self.operate("declare")
        await asyncio.gather(*map(self.start_unit, UNITS))

    async def stop(self) -> None:
        """End it all."""
        await asyncio.gather(*(one.stop() for one in self._running.values()))
        for runner in (self._target, self._mixmax):
            if runner is not None:
                await runner.cleanup()
        if self._socket is not None:
            self._socket.close()
        for node in (self.second, self.broker):
            await node.kill()
            await node.stop()
        await self.postgres.stop()
        await self.session.close()

    async def operate(self, *arguments: str, stdin: str = "") -> str:
        """Run a `penstock` command as the operator; return what it prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ops",
            *arguments,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, wrong = await process.communicate(stdin.encode())
        assert process.returncode == 0, f"penstock {shlex.join(arguments)}: {wrong.decode()}"
        return printed.decode()

    async def sql(self, statement: str) -> list[asyncpg.Record]:
        """Run a statement as the database's owner."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def add_node(self) -> None:
        """Have a second node of RabbitMQ join, and Prometheus know it."""
        await self.second.start()
        for job in ("rabbitmq", "rabbitmq-queues"):
            self.prometheus.scrape(job, self.node_addresses)

    async def remove_node(self) -> None:
        """Stop the second node, and have Prometheus forget it."""
        for job in ("rabbitmq", "rabbitmq-queues"):
            self.prometheus.scrape(job, self.node_addresses[:1])
        await self.second.stop_node()

    def set(self, variable: str, value: str) -> None:
        """Write a setting where units read theirs."""
        kept = [line for line in self._lines() if not line.startswith(f"{variable}=")]
        self._write([*kept, f"{variable}={value}"])

    def setting(self, variable: str) -> str:
        """Return a setting; empty if it is not set."""
        return dict(line.split("=", 1) for line in self._lines()).get(variable, "")

    def _lines(self) -> list[str]:
        return (self.settings / "penstock.env").read_text().split()

    def _write(self, lines: list[str]) -> None:
        (self.settings / "penstock.env").write_text("".join(f"{line}\n" for line in lines))

    async def start_unit(self, name: str) -> None:
        """Start a unit that is not running; return when it is ready."""
        if name in self._running and self._running[name].pid is not None:
            return
        unit = UNITS[name]
        environment = {
            **os.environ,
            "PENSTOCK_DATABASE__URL": self.url_for(unit.user),
            "PENSTOCK_LOG__FORMAT": "json",
            f"PENSTOCK_{unit.section}__ADMIN_PORT": self.admin[name].rpartition(":")[2],
            "PENSTOCK_INGEST__PORT": self.ingest_url.rpartition(":")[2],
            "PENSTOCK_CONSOLE__PORT": self._console_port,
            **dict(line.split("=", 1) for line in self._lines()),
            **self._added(name),
        }
        if unit.user in _PERMISSIONS:
            environment["PENSTOCK_BROKER__URL"] = self.broker_url_for(unit.user)
        self._running[name] = Supervised(
            Child(
                name=name,
                argv=[sys.executable, "-m", "ops", *unit.command],
                env=environment,
                log_path=self.folder / f"{name}.log",
                ready=lambda: self._answers(name),
                stop_timeout_s=30.0,
            )
        )
        await self._running[name].start()

    def _added(self, name: str) -> dict[str, str]:
        """Return what a unit's drop-ins add to its environment; a credential is the file itself."""
        environment: dict[str, str] = {}
        for file in (self.settings / UNITS_FOLDER / f"{name}.service.d").glob("*.conf"):
            told = [line.split("=", 1) for line in file.read_text().splitlines() if "=" in line]
            credentials = [value.split(":", 1) for key, value in told if key == "LoadCredential"]
            for variable, value in (one.split("=", 1) for key, one in told if key == "Environment"):
                environment[variable] = value
                for credential, path in credentials:
                    if value == f"%d/{credential}":
                        environment[variable] = path
        return environment

    async def _answers(self, name: str) -> bool:
        # As systemd would have it, running is enough: what it waits for may be what is mended next.
        try:
            async with self.session.get(f"http://{self.admin[name]}/healthz") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False

    async def restart_unit(self, name: str) -> None:
        """Stop a unit in good order and start it with the settings as they are now."""
        await self._running[name].stop()
        await self.start_unit(name)

    async def kill_unit(self, name: str) -> None:
        """SIGKILL a unit's process."""
        await self._running[name].kill()

    async def open_target(self) -> str:
        """Listen at a new address, at which the relay may find it or not; return it."""
        if self._target is not None:
            await self._target.cleanup()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._target = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        return f"{await _served(self._target)}/hook"

    def _write_settings(self, webhook_url: str, mixmax_url: str) -> None:
        (self.settings / "relay").mkdir(parents=True)
        self._write(
            [
                f"PENSTOCK_RELAY__WEBHOOK_URL={webhook_url}",
                f"PENSTOCK_RELAY__WEBHOOK_SECRET={self._secret}",
                f"PENSTOCK_RELAY__MIXMAX_URL={mixmax_url}",
                "PENSTOCK_RELAY__ALLOW_NETWORKS=127.0.0.0/8",
                "PENSTOCK_RELAY__TIMEOUT_S=3",
                "PENSTOCK_INGEST__ORG_CALLOUTS_PER_S=5000",
                # What is refused for a backlog depends on what else the machine does meanwhile.
                "PENSTOCK_INGEST__BACKLOG_S=0",
                "PENSTOCK_WORKER__PREFETCH_COUNT=32",
                "PENSTOCK_WORKER__GAP_CONFIRM_S=3",
            ]
        )

    async def _take(self, _: web.Request) -> web.Response:
        return web.Response(status=self.target_status)

    def _offer_tools(self) -> None:
        folder = self.folder / "bin"
        folder.mkdir()
        shim = Path(__file__).with_name("shim.py")
        for name in ("systemctl", "journalctl", *_TOOLS):
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -S {shim} {name} "$@"\n')
            script.chmod(0o755)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name, *arguments = json.loads(await reader.readline())
        try:
            code, text = 0, await self._do(name, arguments)
        except StackError as error:
            code, text = 1, f"{error}\n"
        writer.write(json.dumps({"code": code, "text": text}).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _do(self, name: str, arguments: list[str]) -> str:
        if name in _TOOLS:
            return await self.broker.ctl(*arguments, tool=name)
        if name == "journalctl":
            return self._journal(arguments)
        words = [one for one in arguments if not one.startswith("-")]
        return "".join([await self._control(words[0], one) for one in words[1:]])

    def _journal(self, arguments: list[str]) -> str:
        units = [unit for option, unit in pairwise(arguments) if option == "-u"]
        return "".join(tail_of(self.folder / f"{unit}.log") + "\n" for unit in units)

    async def _control(self, verb: str, name: str) -> str:
        if verb == "restart" and name in UNITS:
            await self._running[name].stop()
        if verb in {"restart", "start", "enable"}:
            await self._start(name)
        pid = self._pid(name)
        if verb == "status":
            return f"{name}: {f'active (running), main PID {pid}' if pid else 'inactive (dead)'}\n"
        return f"{'active' if pid else 'inactive'}\n" if verb == "is-active" else ""

    async def _start(self, name: str) -> None:
        match name:
            case "postgresql":
                await self.postgres.start()
            case "rabbitmq-server":
                # Whichever of the two is not there: in life, each is on a machine of its own.
                await (self.second if self.broker.pid else self.broker).start()
            case "chrony":
                self.clock_off_s = 0.0
            case _:
                await self.start_unit(name)

    def _pid(self, name: str) -> int | None:
        match name:
            case "postgresql":
                return self.postgres.pid
            case "rabbitmq-server":
                return self.broker.pid
            case _:
                units = fnmatch.filter(self._running, name)
                return self._running[units[0]].pid if units else None

    async def _make_users(self) -> None:
        await migrated(self.postgres.url)
        for role in Role:
            user = role.removeprefix("penstock_")
            await self.sql(f"CREATE USER {user} PASSWORD '{_PASSWORD}' IN ROLE {role}")
        await self.sql("GRANT pg_monitor TO operator")
        await self.broker.ctl("add_vhost", VHOST)
        for user, permissions in _PERMISSIONS.items():
            await self.broker.ctl("add_user", user, _PASSWORD)
            await self.broker.ctl("set_permissions", "-p", VHOST, user, *permissions)


def _scraped_at(port: str) -> dict[str, str]:
    return {"prometheus.tcp.ip": LOOPBACK, "prometheus.tcp.port": port}


async def _served(runner: web.AppRunner) -> str:
    """Serve on a free port; return the address."""
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, LOOPBACK, port).start()
    return f"http://{LOOPBACK}:{port}"
