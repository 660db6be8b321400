"""Processes of the simulation: the workers' and the relay's own services, killed and started."""

from __future__ import annotations

import asyncio
import contextvars
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from aio_pika.exceptions import AMQPConnectionError

from pipeline.broker import keep_connected
from pipeline.lifecycle import run_until_stopped
from pipeline.objects import SObject
from pipeline.settings import Relay as RelaySettings
from pipeline.settings import Secret, Settings, Worker
from tests.simulation.loop import SIGNAL_HANDLERS, Handlers
from tests.simulation.store import Pool
from workers.consume import Consumer
from workers.processor import Processor
from workers.recorder import Recorder
from workers.relay.service import Relay
from workers.relay.targets.answers import Delivered, Held

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aio_pika.abc import AbstractConnection

    from pipeline.database import Pool as RealPool
    from pipeline.lifecycle import Service
    from tests.simulation.broker import Broker, Connection
    from tests.simulation.store import Store
    from tests.simulation.target import TargetSystem
    from workers.relay.claim import Claim
    from workers.relay.targets.answers import Answer
    from workers.relay.targets.open_targets import OpenTargets

DRAIN_S: Final = 5.0
LEASE_S: Final = 3.0
# Past the drain itself: letting go of a query, and of a channel whose broker is away.
_MAX_DRAIN_S: Final = DRAIN_S + 15.0
_CLAIM_COUNT: Final = 4

OWNER: contextvars.ContextVar[Process] = contextvars.ContextVar("OWNER")


class Process:
    """One process. Killed, it does nothing more that anybody could see."""

    def __init__(self, name: str, store: Store, broker: Broker) -> None:
        self.name = name
        self.store = store
        self.broker = broker
        self.pool = Pool(store)
        self.is_dead = False
        self._signals: Handlers = {}
        context = contextvars.copy_context()
        context.run(SIGNAL_HANDLERS.set, self._signals)
        context.run(OWNER.set, self)
        services = partial(run_until_stopped, self.services())
        self.task = asyncio.get_running_loop().create_task(services(), context=context)
        store.watch.note("started", name)

    def services(self) -> Mapping[str, Service]:
        raise NotImplementedError

    async def kill(self) -> None:
        """End at once, as SIGKILL does."""
        self.store.watch.note("killed", self.name)
        self.is_dead = True
        self.pool.kill()
        for connection in self.broker_connections():
            connection.lose()
        self.task.cancel()
        await asyncio.wait({self.task})

    def broker_connections(self) -> list[Connection]:
        return [one for one in self.broker.connections if one.owner is self]

    async def drain(self, within_s: float = _MAX_DRAIN_S) -> None:
        """Ask for the end, as SIGTERM does; break a promise if it takes too long."""
        # A signal that comes before anybody handles it ends a process as SIGKILL does.
        if signal.SIGTERM not in self._signals:
            await self.kill()
            return
        self.store.watch.note("draining", self.name)
        self._signals[signal.SIGTERM]()
        done, _ = await asyncio.wait({self.task}, timeout=within_s)
        if not done:
            self.store.watch.breaks(f"{self.name} did not drain within {within_s:.0f} s")
            await self.kill()


async def connect(*_: object, **__: object) -> Connection:
    """Connect to the broker for the process that asks: in the place of aio-pika's."""
    owner = OWNER.get()
    if owner.is_dead:
        raise AMQPConnectionError("dead")
    return await owner.broker.connect(owner)


class WorkerProcess(Process):
    """`penstock worker`: the consumer and the recorder."""

    def services(self) -> Mapping[str, Service]:
        settings = Worker(prefetch_count=6, batch_count=8, hold_s=20.0, drain_s=DRAIN_S)
        pool = cast("RealPool", self.pool)
        objects = [SObject.LEAD]
        make = partial(Processor, pool, retention_days=30)
        consumer = Consumer(settings, objects, make, pool)
        recorder = Recorder(objects, pool, hold_s=20.0)
        url = Secret("amqp://simulated")

        def on(session: Any) -> Service:  # noqa: ANN401  either's session
            async def serve(stop: asyncio.Event) -> None:
                async def one(connection: AbstractConnection) -> None:
                    await session(connection, stop)

                await keep_connected(url, self.name, stop, one)

            return serve

        return {"consumer": on(consumer.session), "recorder": on(recorder.session)}


class RelayProcess(Process):
    """`penstock relay`, with a target that forgets no idempotency key."""

    def __init__(self, name: str, store: Store, broker: Broker, system: TargetSystem) -> None:
        self._system = system
        super().__init__(name, store, broker)

    def services(self) -> Mapping[str, Service]:
        settings = Settings(relay=RelaySettings(lease_s=LEASE_S, timeout_s=1.0, poll_s=2.0))
        targets = cast("OpenTargets", self)
        return {"relay": Relay(settings, cast("RealPool", self.pool), targets).run}

    def find(self, _: str) -> RelayProcess:
        return self

    @property
    def claim_count(self) -> int:
        return _CLAIM_COUNT

    def batches(self, claims: Sequence[Claim]) -> list[list[Claim]]:
        return [[claim] for claim in claims]

    async def deliver(self, batch: Sequence[Claim]) -> list[Answer]:
        if self.is_dead:
            raise ConnectionError("dead")
        taken = [await self._system.take(claim) for claim in batch]
        return [Delivered() if one else Held("no answer") for one in taken]
