"""RabbitMQ stopped, killed, frozen or out of memory: 503 within two seconds, nothing lost.

The broker is these tests' own. Ingest and worker are never started again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from ops.stack import PrivateRabbitMQ
from tests.load import Load
from tests.salesforce import Salesforce, callout
from tests.servers import LoopThread, open_folder, roomy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes import PenstockProcesses, Running

ACCOUNT_ID: Final = "0015g00000AcmeA"
MIB: Final = 1024 * 1024
ANSWERED_WITHIN_S: Final = 2.0


class Broker:
    """The broker under attack, from a test's own loop."""

    def __init__(self, server: PrivateRabbitMQ, loop: LoopThread) -> None:
        self.server = server
        self._loop = loop

    async def run(self, step: str, *args: str) -> None:
        """Run `start`, `stop`, `kill` or `ctl` of the server."""
        await asyncio.to_thread(lambda: self._loop.run(getattr(self.server, step)(*args)))

    def signal(self, number: signal.Signals) -> None:
        assert self.server.pid is not None
        os.kill(self.server.pid, number)


@pytest.fixture(scope="module")
def broker(server_loop: LoopThread) -> Iterator[Broker]:
    with open_folder(roomy()) as folder:
        server = PrivateRabbitMQ(folder / "rabbitmq")
        server_loop.run(server.start())
        try:
            yield Broker(server, server_loop)
        finally:
            server_loop.run(server.kill())
            server_loop.run(server.stop())


@pytest.fixture
def broker_url(broker: Broker) -> str:
    """Stand in for the session's broker."""
    return broker.server.url


@pytest.fixture
async def ingest(penstock: PenstockProcesses) -> Running:
    return await penstock.start_ingest()


@pytest.fixture
async def org(penstock: PenstockProcesses, ingest: Running) -> Salesforce:
    assert ingest.pid
    org = await Salesforce.connect(penstock)
    await penstock.start_worker("lead")
    return org


async def answer(org: Salesforce, **fields: Any) -> tuple[int, float]:
    """Send a callout that no worker here takes; return the status and the seconds that it took."""
    account = {"new": {"Id": ACCOUNT_ID, **fields}}
    started = time.monotonic()
    response = await org.send(callout([account], object="Account", operation="insert"))
    if response.status == 503:
        assert int(response.headers["Retry-After"]) > 0
        assert response.content_type == "application/problem+json"
    return response.status, time.monotonic() - started


async def until_answered(status: int, org: Salesforce) -> None:
    """Send callouts until one is answered so."""
    async with asyncio.timeout(20):
        while (await answer(org))[0] != status:
            pass


async def assert_refused_quickly(org: Salesforce, count: int = 5) -> None:
    for _ in range(count):
        status, took_s = await answer(org)
        assert status == 503
        assert took_s < ANSWERED_WITHIN_S


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_broker_that_goes_and_comes_back_loses_nothing_that_was_accepted(
    penstock: PenstockProcesses, org: Salesforce, broker: Broker, how: str
) -> None:
    async with Load(org) as load:
        await load.until_accepted(200)
        await broker.run(how)
        try:
            # Answers that were on their way are read by the time that others come.
            await assert_refused_quickly(org)
            accepted_count = len(load.accepted)
            await assert_refused_quickly(org)
            assert len(load.accepted) == accepted_count
        finally:
            await broker.run("start")
        await load.until_accepted(200)
    assert load.answers.keys() == {202, 503}
    assert load.slowest_s < ANSWERED_WITHIN_S
    assert not load.unanswered
    await load.assert_kept_once(penstock)


async def test_a_broker_that_is_frozen_is_answered_for_in_time(
    penstock: PenstockProcesses, org: Salesforce, ingest: Running, broker: Broker
) -> None:
    async with Load(org) as load:
        await load.until_accepted(200)
        broker.signal(signal.SIGSTOP)
        try:
            await assert_refused_quickly(org, 10)
        finally:
            broker.signal(signal.SIGCONT)
        await load.until_accepted(200)
    assert load.slowest_s < ANSWERED_WITHIN_S
    assert not load.unanswered
    await load.assert_kept_once(penstock)
    broker.signal(signal.SIGSTOP)
    try:
        assert await ingest.terminate() == 0
    finally:
        broker.signal(signal.SIGCONT)


async def test_a_broker_that_is_out_of_memory_is_answered_for_in_bounded_memory(
    penstock: PenstockProcesses, org: Salesforce, ingest: Running, broker: Broker
) -> None:
    await until_answered(202, org)
    await broker.run("ctl", "set_vm_memory_high_watermark", "0.00001")
    try:
        await until_answered(503, org)
        await assert_refused_quickly(org)
        before_bytes = ingest.memory_bytes("VmHWM")
        for _ in range(4):
            answers = await asyncio.gather(
                *(answer(org, Description="x" * 1_000_000) for _ in range(40))
            )
            assert {status for status, _ in answers} == {503}
            assert max(took_s for _, took_s in answers) < ANSWERED_WITHIN_S
        grown_bytes = ingest.memory_bytes("VmHWM") - before_bytes
        assert grown_bytes < 256 * MIB
    finally:
        await broker.run("ctl", "set_vm_memory_high_watermark", "0.4")
    await until_answered(202, org)
    async with Load(org, limit=100) as load:
        await load.sent()
    assert load.answers == {202: 100}
    await load.assert_kept(penstock)
