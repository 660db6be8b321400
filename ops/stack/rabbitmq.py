"""A private RabbitMQ: a node and its own epmd, in one folder, on ports of their own.

Further nodes join the first one's cluster: they share its epmd, by which nodes find one another,
its cookie, without which they would not talk, and its user.

epmd (Erlang's port mapper, one a machine and a daemon by custom) runs as a foreground child on a
port of its own: nothing is shared with other Erlang programs and nothing stays behind. All
listeners are on the loopback.

Layout of the folder: `server.json` (ports, password, cookie), `rabbitmq.conf`, `rabbitmq.log`,
`epmd.log`, `data/` (queues and metadata, owned by the user that the server runs as).

Source: RabbitMQ documentation, "Configuration", "Networking", "Clustering" (cookie, epmd);
the comments in the script rabbitmq-server on RUNNING_UNDER_SYSTEMD.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aio_pika
from aio_pika.exceptions import AMQPError

from ops.stack import programs
from ops.stack.accounts import Account, can_reach, make_folder, service_account, write_secret
from ops.stack.children import Child, Supervised, outlast_predecessor
from ops.stack.errors import StackError
from ops.stack.processes import end_group
from ops.stack.remembered import Remembered, remember

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ops.stack.children import Said

USER: Final = "penstock"
NAME: Final = "penstock"
SERVICE_USER: Final = "rabbitmq"
_MANAGEMENT: Final = "rabbitmq_management"
_DISK_FREE_LIMIT: Final = "200MB"
_MEMORY_SHARE: Final = 0.4
_PROBE_TIMEOUT_S: Final = 5.0
_CTL_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 30.0
_PORTS: Final = ("amqp", "distribution", "epmd", "management")


class PrivateRabbitMQ:
    """RabbitMQ in `folder`, on 127.0.0.1 alone; ports and password stay the same across starts.

    With `said` node and epmd are started again when they die, and that is said; without, a killed
    node stays down until `start`. `plugins` are enabled besides the node's own, `configuration`
    (by name) is added to it. With `first`, started before and under another name, this node joins
    that one's cluster when it has no data yet; the first is then the last to stop.
    """

    def __init__(  # noqa: PLR0913  what a node is, each named at the call
        self,
        folder: Path,
        *,
        plugins: Sequence[str] = (),
        said: Said | None = None,
        name: str = NAME,
        configuration: Mapping[str, str] | None = None,
        first: PrivateRabbitMQ | None = None,
    ) -> None:
        self.node = f"{name}@localhost"
        self._folder = folder
        self._plugins = tuple(plugins)
        self._configuration = dict(configuration or {})
        self._first = first
        self._said = said
        self._log_path = folder / "rabbitmq.log"
        self._epmd: Supervised | None = None
        self._node: Supervised | None = None
        self._remembered: Remembered | None = None
        self._account: Account | None = None

    @property
    def url(self) -> str:
        """`amqp://` URL of the default virtual host, password included. Known from `start` on."""
        return f"amqp://{self._authority('amqp')}/"

    @property
    def management_url(self) -> str:
        """`http://` URL of the management API, password included; with that plugin only."""
        if _MANAGEMENT not in self._plugins:
            raise StackError(f"the private RabbitMQ runs without {_MANAGEMENT}")
        return f"http://{self._authority('management')}"

    @property
    def pid(self) -> int | None:
        """The process id of the node (the Erlang VM itself), if it runs."""
        return self._node.pid if self._node is not None else None

    async def start(self) -> None:
        """Start epmd and the node; return once AMQP is spoken.

        Raises:
            StackError: RabbitMQ is missing, its user cannot enter the folder, or it failed.
        """
        make_folder(self._folder, 0o755)
        self._account = service_account(SERVICE_USER)
        if not await can_reach(self._account, self._folder):
            raise StackError(f"the user {SERVICE_USER} cannot enter {self._folder}")
        found = await programs.rabbitmq()
        await self.stop_node()
        has_epmd = self._epmd is not None and self._epmd.pid is not None
        if not has_epmd:
            # Its predecessors, which are ending, have the ports that it is to have.
            for log_path in (self._log_path, self._epmd_log_path):
                await outlast_predecessor(log_path, _STOP_TIMEOUT_S)
            self._remembered = self._remember()
        self._write_configuration()
        self._node = Supervised(self._node_child(found.server), self._said)
        try:
            if self._first is None and not has_epmd:
                self._epmd = Supervised(self._epmd_child(found.epmd), self._said)
                await self._epmd.start()
            await self._node.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the node in good order (SIGTERM; SIGKILL if it takes too long), then epmd."""
        await self.stop_node()
        if self._epmd is not None:
            await self._epmd.stop()

    async def stop_node(self) -> None:
        """Stop the node in good order. Its epmd, by which others find one another, runs on."""
        if self._node is not None:
            await self._node.stop()

    async def kill(self) -> None:
        """SIGKILL the node, as a crash of the machine would."""
        if self._node is not None:
            await self._node.kill()

    async def ctl(self, *args: str, tool: str = "rabbitmqctl") -> str:
        """Run rabbitmqctl against the node (`ctl("list_queues", "name")`); return what it prints.

        `tool` is another of that family, such as rabbitmq-queues.

        Raises:
            StackError: it failed, with what it printed, or took longer than a minute.
        """
        found = await programs.rabbitmq()
        account = self._account
        process = await asyncio.create_subprocess_exec(
            found.ctl.with_name(tool),
            "--quiet",
            *args,
            env=self._environment(),
            cwd=self._folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else account.groups,
        )
        try:
            async with asyncio.timeout(_CTL_TIMEOUT_S):
                printed = (await process.communicate())[0].decode(errors="replace")
        except TimeoutError:
            raise StackError(f"{tool} {args[0]} took over {_CTL_TIMEOUT_S:g} s") from None
        finally:
            end_group(process)
            await process.wait()
        if process.returncode != 0:
            raise StackError(f"{tool} {args[0]} failed:\n{printed}")
        return printed

    @property
    def _epmd_log_path(self) -> Path:
        return self._folder / "epmd.log"

    def _remember(self) -> Remembered:
        path = self._folder / "server.json"
        if self._first is None:
            return remember(path, _PORTS, ["password", "cookie"])
        shared = self._first._known()  # noqa: SLF001  another of this very class
        own = remember(path, [name for name in _PORTS if name != "epmd"], [])
        return Remembered({**own.ports, "epmd": shared.ports["epmd"]}, shared.secrets)

    def _known(self) -> Remembered:
        if self._remembered is None:
            raise StackError("the private RabbitMQ has not been started")
        return self._remembered

    def _authority(self, port_name: str) -> str:
        known = self._known()
        return f"{USER}:{known.secrets['password']}@127.0.0.1:{known.ports[port_name]}"

    def _write_configuration(self) -> None:
        known, account = self._known(), self._account
        make_folder(self._folder / "data", 0o700, account)
        configuration = {
            "listeners.tcp.local": f"127.0.0.1:{known.ports['amqp']}",
            "default_user": USER,
            "default_pass": known.secrets["password"],
            "disk_free_limit.absolute": _DISK_FREE_LIMIT,
            "vm_memory_high_watermark.relative": _MEMORY_SHARE,
        }
        if _MANAGEMENT in self._plugins:
            configuration["management.tcp.ip"] = "127.0.0.1"
            configuration["management.tcp.port"] = known.ports["management"]
        if self._first is not None:
            # A node without data asks these for the cluster; one with data knows it.
            configuration["cluster_formation.peer_discovery_backend"] = "classic_config"
            for number, node in enumerate((self._first.node, self.node), start=1):
                configuration[f"cluster_formation.classic_config.nodes.{number}"] = node
        configuration |= self._configuration
        lines = "".join(f"{name} = {value}\n" for name, value in configuration.items())
        write_secret(self._folder / "rabbitmq.conf", lines, account)
        write_secret(self._folder / "enabled_plugins", f"[{','.join(self._plugins)}].\n", account)
        write_secret(self._folder / ".erlang.cookie", known.secrets["cookie"], account)

    def _environment(self) -> dict[str, str]:
        known, folder = self._known(), self._folder
        # The node must not start an epmd by itself: that one would be a daemon, and stay.
        erlang = "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}"
        # Nothing is inherited, and nothing read from /etc/rabbitmq: those mean another node.
        return {
            "PATH": programs.program_path(),
            "LANG": "C.UTF-8",
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(known.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The script becomes the Erlang VM instead of waiting for it: signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(known.ports["distribution"]),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "no-further-configuration"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "no-advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "data" / "generated"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "data" / "log"),
            "RABBITMQ_PID_FILE": str(folder / "data" / "node.pid"),
            # A crash dump would hold secrets and whole messages.
            "ERL_CRASH_DUMP_SECONDS": "0",
            # To standard output, which is the child's log.
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erlang,
            "RABBITMQ_CTL_ERL_ARGS": erlang,
        }

    def _epmd_child(self, executable: Path) -> Child:
        port = self._known().ports["epmd"]
        return Child(
            name="RabbitMQ's epmd",
            argv=[str(executable), "-address", "127.0.0.1", "-port", str(port)],
            env=self._environment(),
            log_path=self._epmd_log_path,
            ready=lambda: _listens(port),
            account=self._account,
            stop_timeout_s=_STOP_TIMEOUT_S,
        )

    def _node_child(self, executable: Path) -> Child:
        return Child(
            name=f"RabbitMQ node {self.node}" if self._first is not None else "RabbitMQ",
            argv=[str(executable)],
            env=self._environment(),
            log_path=self._log_path,
            ready=self._answers,
            account=self._account,
            stop_timeout_s=_STOP_TIMEOUT_S,
        )

    async def _answers(self) -> bool:
        ports = self._known().ports
        if not await _listens(ports["amqp"]):
            return False
        if _MANAGEMENT in self._plugins and not await _listens(ports["management"]):
            return False
        try:
            connection = await aio_pika.connect(self.url, timeout=_PROBE_TIMEOUT_S)
        except (ConnectionError, TimeoutError, AMQPError):
            # Listening, and not taking connections yet.
            return False
        await connection.close()
        return True


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
