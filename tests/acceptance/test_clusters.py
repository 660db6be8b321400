"""Three RabbitMQ nodes and PostgreSQL with a standby, whose parts fail one by one under load.

Every time the same holds as on single servers: what was answered 202 is in the history once, with
its effects once; nothing is a dead letter; the rest was put off within 2 s. Each test prints for
how long nothing was accepted.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from ops.doctor.broker import members
from ops.doctor.database import standbys
from ops.doctor.subject import subject_of
from pipeline import topology
from pipeline.broker import connection_to
from pipeline.objects import SObject
from pipeline.settings import Broker, Database, Secret, Settings
from tests.clusters import PostgresPair, RabbitMQCluster
from tests.fleet import Fleet
from tests.processes import PenstockProcesses
from tests.servers import migrated, open_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.load import Load
    from tests.servers import LoopThread

# Three nodes and two servers take minutes: they have a command of their own.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.skipif("CLUSTERS" not in os.environ, reason="long: make clusters"),
]

LEADS: Final = topology.queue_name(SObject.LEAD)
LATE: Final = "three@localhost"


@pytest.fixture(scope="module")
def pair(server_loop: LoopThread) -> Iterator[PostgresPair]:
    with open_folder() as folder:
        pair = PostgresPair(folder, server_loop)
        try:
            pair.start()
            server_loop.run(migrated(pair.url))
            yield pair
        finally:
            pair.stop()


@pytest.fixture(scope="module")
def cluster(server_loop: LoopThread) -> Iterator[RabbitMQCluster]:
    """Three nodes, of which the third joined when the queues were there already."""
    with open_folder() as folder:
        cluster = RabbitMQCluster(folder, server_loop)
        try:
            cluster.start(cluster.nodes[:2])
            server_loop.run(declared(cluster.nodes[0].url))
            cluster.start(cluster.nodes[2:])
            yield cluster
        finally:
            cluster.stop()


async def declared(url: str) -> None:
    async with connection_to(Secret(url), "test") as connection:
        await topology.declare(await connection.channel())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grown(cluster: RabbitMQCluster, pair: PostgresPair) -> tuple[list[str], list[str]]:
    """Have the late node take its share; what the doctor told of members before, and after."""
    first = cluster.nodes[0]
    before = await told(cluster, pair)
    everything = ("--vhost-pattern", "^/$", "--queue-pattern", "^penstock[.]")
    await cluster.run(first.ctl("grow", LATE, "all", *everything, tool="rabbitmq-queues"))
    await cluster.run(first.ctl("add_replica", topology.LOG, LATE, tool="rabbitmq-streams"))
    await cluster.all_keep_streams()
    return before, await told(cluster, pair)


async def told(cluster: RabbitMQCluster, pair: PostgresPair) -> list[str]:
    management = Secret(cluster.nodes[0].management_url)
    settings = Settings(
        broker=Broker(url=Secret(cluster.url), management_url=management),
        database=Database(url=Secret(pair.url)),
    )
    async with subject_of(settings) as subject:
        assert [one.told for one in await standbys(subject)] == ["in step: standby"]
        return [": ".join(filter(None, (one.told, one.mend))) for one in await members(subject)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(
    cluster: RabbitMQCluster,
    pair: PostgresPair,
    grown: object,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Fleet]:
    del grown
    environment = {
        "PENSTOCK_BROKER__URL": cluster.url,
        "PENSTOCK_DATABASE__URL": pair.url,
        "PENSTOCK_LOG__FORMAT": "json",
    }
    async with PenstockProcesses(environment, tmp_path_factory.mktemp("fleet")) as penstock:
        fleet = Fleet(penstock)
        async with fleet.started():
            yield fleet


async def goes_on(load: Load, what: str) -> None:
    """See that callouts are accepted again; tell for how long none was."""
    await load.until_accepted(50)
    print(f"{what}: at most {load.pause_s():.2f} s without a 202")  # noqa: T201  it is looked for


async def test_the_doctor_finds_that_a_node_which_joined_late_has_no_queues(
    grown: tuple[list[str], list[str]],
) -> None:
    before, after = grown
    told = next(line for line in before if line.startswith(LEADS))
    assert told.startswith(f"{LEADS} has 2 of 3 members: rabbitmq-queues grow {LATE} all")
    assert told.endswith(f"; rabbitmq-streams add_replica --vhost / {topology.LOG} {LATE}")
    assert after == ["all queues have their members"]


async def test_a_leader_moves_and_the_node_of_a_leader_is_killed(
    fleet: Fleet, cluster: RabbitMQCluster
) -> None:
    async with fleet.load() as load:
        first = cluster.nodes[0]
        await cluster.run(first.ctl("rebalance", "quorum", tool="rabbitmq-queues"))
        await goes_on(load, "leaders moved")
        leader = await cluster.leader_of(LEADS)
        await cluster.run(leader.kill())
        await goes_on(load, f"{leader.node} was killed")
        await cluster.run(leader.start())
        await goes_on(load, f"{leader.node} came back")


async def test_the_node_of_a_leader_is_cut_off_and_comes_back(
    fleet: Fleet, cluster: RabbitMQCluster
) -> None:
    async with fleet.load() as load:
        leader = await cluster.leader_of(LEADS)
        await cluster.cut_off(leader)
        try:
            await goes_on(load, f"{leader.node} was cut off")
            # It has found that it is no majority, and what it had taken by then is settled.
            await load.until_accepted(200)
        finally:
            await cluster.heal(leader)
        await goes_on(load, f"{leader.node} was let in again")


async def test_a_primary_is_killed_and_its_standby_promoted(
    fleet: Fleet, pair: PostgresPair
) -> None:
    async with fleet.load() as load:
        began = time.monotonic()
        await pair.run(pair.primary.kill())
        await load.until_accepted(50)
        await pair.promote()
        await fleet.commits()
        print(f"workers committed again {time.monotonic() - began:.2f} s after it")  # noqa: T201
        await goes_on(load, "the primary was killed and the standby promoted")
        await pair.rejoin()
        await goes_on(load, "the old primary became its standby")


async def test_every_part_is_restarted_in_turn(
    fleet: Fleet, cluster: RabbitMQCluster, pair: PostgresPair
) -> None:
    async with fleet.load() as load:
        for node in cluster.nodes:
            await cluster.run(node.stop_node())
            await goes_on(load, f"{node.node} was stopped")
            await cluster.run(node.start())
            await goes_on(load, f"{node.node} was started")
        for kind, number in fleet.parts():
            await fleet.restart(kind, number)
            await goes_on(load, f"{kind} {number} was restarted")
        began = time.monotonic()
        await pair.run(pair.primary.stop())
        await pair.promote()
        await fleet.commits()
        print(f"workers committed again {time.monotonic() - began:.2f} s after it")  # noqa: T201
        await pair.rejoin()
        await goes_on(load, "the database was switched over")
