"""Servers as a fleet has them: three RabbitMQ nodes, and PostgreSQL with a synchronous standby.

All on loopback, from this machine's own programs, on the loop that servers live on: a test's own
loop, with the load on it, runs on meanwhile.
"""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import asyncpg

from ops.stack import PrivatePostgres, PrivateRabbitMQ
from ops.stack.children import together
from ops.stack.postgres import STANDBY

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from pathlib import Path

    from tests.servers import LoopThread


# Silent for that long, a node counts as gone: 60 s by default, for which no test can wait.
NET_TICK_S: Final = 4
_CONFIGURATION: Final = {
    "net_ticktime": str(NET_TICK_S),
    # As three nodes are to be run: the side that is no majority stops, until it is not alone.
    "cluster_partition_handling": "pause_minority",
}
_STEP_TIMEOUT_S: Final = 60.0
_IN_STEP: Final = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')"
Result = TypeVar("Result")


class RabbitMQCluster:
    """Three nodes of one cluster. The first one has the epmd by which they find one another."""

    def __init__(self, folder: Path, loop: LoopThread) -> None:
        self._loop = loop
        first = PrivateRabbitMQ(
            folder / "one",
            name="one",
            configuration=_CONFIGURATION,
            plugins=["rabbitmq_management"],
        )
        self.nodes = [first]
        for name in ("two", "three"):
            node = PrivateRabbitMQ(
                folder / name,
                name=name,
                configuration=_CONFIGURATION,
                plugins=["rabbitmq_management_agent"],
                first=first,
            )
            self.nodes.append(node)

    @property
    def url(self) -> str:
        """The URL of all three nodes."""
        return url_of_all([node.url for node in self.nodes])

    def start(self, nodes: Sequence[PrivateRabbitMQ]) -> None:
        """Start some nodes, the first one before the others."""
        for node in nodes[:1]:
            self._loop.run(node.start())
        self._loop.run(together(*(node.start() for node in nodes[1:])))

    def stop(self) -> None:
        """End all, for good; the first one, and its epmd, last."""
        self._loop.run(together(*(node.kill() for node in self.nodes)))
        for node in reversed(self.nodes):
            self._loop.run(node.stop())

    async def run(self, step: Coroutine[object, object, Result]) -> Result:
        """Do something to a node on the servers' loop."""
        return await asyncio.to_thread(self._loop.run, step)

    async def evaluate(self, node: PrivateRabbitMQ, expression: str) -> str:
        """Have a node evaluate Erlang."""
        return await self.run(node.ctl("eval", expression))

    async def cut_off(self, node: PrivateRabbitMQ) -> None:
        """Part a node from the others; all of them, and their clients' connections, live on.

        Connections between nodes are closed, and new ones are refused on either side since the
        cookies differ. Other than in a network that drops packets, each side knows of it at once.
        """
        await self._each_peer(node, "erlang:set_cookie(N, parted), erlang:disconnect_node(N)")
        assert await self.evaluate(node, "nodes().") == "[]\n"

    async def heal(self, node: PrivateRabbitMQ) -> None:
        """Let a node that was cut off talk to the others; return once it does all its work."""
        await self._each_peer(
            node, "erlang:set_cookie(N, erlang:get_cookie()), net_kernel:connect_node(N)"
        )
        running = "length(rabbit_nodes:all_running())."
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            while await self.evaluate(node, running) != f"{len(self.nodes)}\n":
                pass

    async def all_keep_streams(self) -> None:
        """Return once every node has a vote on who leads a stream.

        RabbitMQ lets a node that joined late take part in that by a timer of 30 s. Until then two
        of three nodes decide, and either one's death leaves every stream without a leader.
        """
        node = self.nodes[0]
        voters = f"length(element(2, ra:members({{rabbit_stream_coordinator, '{node.node}'}})))."
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            while await self.evaluate(node, voters) != f"{len(self.nodes)}\n":
                pass

    async def _each_peer(self, node: PrivateRabbitMQ, step: str) -> None:
        peers = ", ".join(f"'{peer.node}'" for peer in self.nodes if peer is not node)
        await self.evaluate(node, f"[begin {step} end || N <- [{peers}]].")

    async def leader_of(self, queue: str) -> PrivateRabbitMQ:
        """Return the node that leads a queue."""
        asked = ("list_queues", "name", "leader", "--no-table-headers")
        lines = (await self.run(self.nodes[0].ctl(*asked))).splitlines()
        leaders = dict(line.split("\t") for line in lines)
        return next(node for node in self.nodes if node.node == leaders[queue])


class PostgresPair:
    """A primary and its standby, without which nothing is committed."""

    def __init__(self, folder: Path, loop: LoopThread) -> None:
        self._loop = loop
        self._folders = [folder / "left", folder / "right"]
        self.primary = PrivatePostgres(self._folders[0])
        self.standby: PrivatePostgres
        self.url = ""

    def start(self) -> None:
        """Start both; the URL keeps their order, whichever is the primary."""
        self._loop.run(self.primary.start())
        self._loop.run(self._attach(self._folders[1]))
        both = url_of_all([self.primary.url, self.standby.url])
        self.url = f"{both}&target_session_attrs=read-write"

    def stop(self) -> None:
        """End both, for good."""
        self._loop.run(together(self.primary.kill(), self.standby.kill()))
        self._loop.run(together(self.primary.stop(), self.standby.stop()))

    async def run(self, step: Coroutine[object, object, Result]) -> Result:
        """Do something to a server on the servers' loop."""
        return await asyncio.to_thread(self._loop.run, step)

    async def promote(self) -> None:
        """Make the standby the primary, as whoever fails over has to; the old one is down."""
        self._folders.reverse()
        self.primary, self.standby = self.standby, self.primary
        await self.run(_promote(self.primary.url))

    async def rejoin(self) -> None:
        """Have the old primary begin anew as the new one's standby."""
        await self.run(self.standby.stop())
        await asyncio.to_thread(shutil.rmtree, self._folders[1] / "data")
        await self.run(self._attach(self._folders[1]))

    async def _attach(self, folder: Path) -> None:
        self.standby = PrivatePostgres(folder, primary=self.primary)
        await self.standby.start()
        await _wait_for_standby(self.primary.url)


async def _promote(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("SELECT pg_promote()")
        # It has no standby now. Copied from the old primary, it would wait for one for ever.
        await connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def _wait_for_standby(url: str) -> None:
    """Have commits wait for the standby from now on; return once it is in step."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        await connection.execute("SELECT pg_reload_conf()")
        async with asyncio.timeout(_STEP_TIMEOUT_S):
            while not await connection.fetchval(_IN_STEP):
                pass
    finally:
        await connection.close()


def url_of_all(urls: Sequence[str]) -> str:
    """Return the first URL with the hosts of all of them."""
    first, *others = (urlsplit(url) for url in urls)
    hosts = [first.netloc, *(other.netloc.rpartition("@")[2] for other in others)]
    return first._replace(netloc=",".join(hosts)).geturl()
