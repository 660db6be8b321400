"""One run: processes, faults, an input; then rest, and everything is looked at from outside."""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from unittest.mock import patch

import aio_pika
import structlog

from tests.simulation import workload
from tests.simulation.broker import Broker
from tests.simulation.loop import Stuck, simulate
from tests.simulation.processes import Process, RelayProcess, WorkerProcess, connect
from tests.simulation.store import Pool, Store
from tests.simulation.target import TargetSystem
from tests.simulation.watch import Broken, Watch
from workers import rule_book
from workers.processor import Processor

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.database import Pool as RealPool
    from tests.simulation.workload import Workload

_FAULTS_S: Final = 15.0
# The last pause of a row that was held is half an hour.
_MAX_REST_S: Final = 3 * 3600.0
_LOOK_S: Final = 2.0
_PEACEFUL_DRAIN_S: Final = 2.0
# So many events lead up to what a failure prints.
_LAST_COUNT: Final = 25

# Rules are compiled once and not for each worker of each run.
_compile: Final = functools.cache(rule_book._compile)  # noqa: SLF001


class Run(NamedTuple):
    """What was seen of a run."""

    seed: int
    digest: str
    broken: list[str]
    events: list[str]

    def require_whole(self) -> None:
        """Raise, with what repeats the run, if a promise did not hold."""
        if self.broken:
            last = "\n".join(self.events[-_LAST_COUNT:])
            raise Broken(
                f"seed {self.seed}: {'; '.join(self.broken)}\n\n{last}\n\n"
                f"Repeat it: make simulate SEED={self.seed}"
            )


class World:
    """Everything of one run."""

    def __init__(self, seed: int, load: Workload) -> None:
        self._rng = random.Random(f"faults {seed}")
        self._load = load
        self.watch = Watch()
        self.store = Store(random.Random(f"store {seed}"), self.watch)
        self.watch.store = self.store
        workload.set_up(self.store)
        self._broker = Broker(random.Random(f"broker {seed}"), self.watch)
        self.target = TargetSystem(random.Random(f"target {seed}"), self.watch)
        self._processes: dict[str, Process] = {}
        self._kills_left = 2

    async def main(self) -> None:
        for name in ("worker 1", "worker 2", "relay 1", "relay 2"):
            self._start(name)
        publishing = asyncio.create_task(self._publish())
        await self._trouble()
        await publishing
        await self._rest()
        await asyncio.gather(*(one.drain(_PEACEFUL_DRAIN_S) for one in self._processes.values()))

    def _start(self, name: str) -> None:
        if name.startswith("worker"):
            process: Process = WorkerProcess(name, self.store, self._broker)
        else:
            process = RelayProcess(name, self.store, self._broker, self.target)
        process.task.add_done_callback(lambda task: self._on_end(process, task))
        self._processes[name] = process

    def _on_end(self, process: Process, task: asyncio.Task[None]) -> None:
        if task.cancelled() or process.is_dead:
            return
        if (error := task.exception()) is not None:
            causes = getattr(error, "exceptions", (error,))
            self.watch.breaks(f"{process.name} crashed: {causes!r}")

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        for one in self._load.publications:
            await asyncio.sleep(max(0.0, one.at_s - loop.time()))
            self.watch.note("publish", one.routing_key)
            self._broker.publish(one.body, one.routing_key)

    async def _trouble(self) -> None:
        """Let faults come, one after another."""
        faults = (self._lose_broker, self._lose_database, self._kill, self._drain, self._pester)
        loop = asyncio.get_running_loop()
        calm = self._rng.random() < 0.1
        while loop.time() < _FAULTS_S and not calm:
            self.store.loss = self._rng.choice((0.0, 0.0, 0.01, 0.03))
            self.target.trouble = self._rng.choice((0.0, 0.3, 0.8))
            await asyncio.sleep(self._rng.random() * 3)
            await self._rng.choice(faults)()
        self.store.loss = self.target.trouble = 0.0

    async def _lose_broker(self) -> None:
        """Lose the node with every connection, or the connections of one process."""
        connections = list(self._broker.connections)
        if self._rng.random() < 0.6 and connections:
            owner = self._rng.choice(connections).owner
            self.watch.note("broker connection lost")
            for connection in connections:
                if connection.owner is owner:
                    connection.lose()
            return
        self.watch.note("broker away")
        self._broker.is_up = False
        for connection in connections:
            connection.lose()
        await asyncio.sleep(self._rng.random() * 2)
        self._broker.is_up = True

    async def _lose_database(self) -> None:
        self.watch.note("database away")
        self.store.is_up = False
        self.store.lose_all()
        # At times longer than a hold: deliveries go back then.
        await asyncio.sleep(self._rng.choice((0.5, 2.0, 30.0)) * self._rng.random())
        self.store.is_up = True

    async def _kill(self) -> None:
        name = self._rng.choice(sorted(self._processes))
        if name.startswith("worker"):
            # A change that ends four workers is a dead letter, as it should be.
            if not self._kills_left:
                return
            self._kills_left -= 1
        await self._processes[name].kill()
        await asyncio.sleep(self._rng.random())
        self._start(name)

    async def _drain(self) -> None:
        name = self._rng.choice(sorted(self._processes))
        await self._processes[name].drain()
        self._start(name)

    async def _pester(self) -> None:
        """Lose one database connection out of those that are open."""
        if self.store.connections:
            self._rng.choice(self.store.connections).lose()

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _MAX_REST_S
        while not self._is_at_rest():
            if loop.time() > until_s or self.watch.broken:
                self.watch.breaks("it did not come to rest")
                return
            await asyncio.sleep(_LOOK_S)

    def _is_at_rest(self) -> bool:
        rows = self.store.rows("outbox").values()
        is_told = not any(row["state"] == "open" for row in rows)
        return self._broker.is_empty and is_told and not self.target.under_way_count


def run(seed: int) -> Run:
    """Run a seed; look at what it left."""
    load = workload.draw(seed)
    world = World(seed, load)
    _in_simulation(world.main, seed, world.watch)
    expected = reference(seed)
    look(world, load, expected)
    watch = world.watch
    return Run(seed, watch.digest, watch.broken, watch.events)


@functools.lru_cache(maxsize=1024)
def reference(seed: int) -> Store:
    """Return what the same input leaves that comes at once, in order, without any fault."""
    watch = Watch()
    store = Store(random.Random(seed), watch)
    workload.set_up(store)

    async def main() -> None:
        processor = Processor(cast("RealPool", Pool(store)), retention_days=30)
        await processor.process(workload.draw(seed).changes)

    _in_simulation(main, seed, watch)
    return store


def _in_simulation(main: Callable[[], Any], seed: int, watch: Watch) -> None:
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        stack.callback(structlog.configure, **before)
        stack.enter_context(patch.object(aio_pika, "connect", connect))
        stack.enter_context(patch.object(rule_book, "_compile", _compile))
        try:
            simulate(main(), seed)
        except Stuck:
            watch.events.append("BROKEN everybody waits")
            watch.broken.append("everybody waits for ever")


def look(world: World, load: Workload, expected: Store) -> None:
    """Hold what a run left against what it should have."""
    store, broken = world.store, world.watch.broken
    for promise, left, right in (
        ("history", set(store.rows("change")), {one.key for one in load.changes} - _bad(load)),
        ("dead letters", _letters(store), load.refused),
        (
            "poison",
            sum(1 for key in store.rows("dead_letter") if key[0] == "message"),
            len(set(load.poison)),
        ),
        (
            "records",
            _view(store, "record", "capture_id", "deleted", "fields"),
            _view(expected, "record", "capture_id", "deleted", "fields"),
        ),
        (
            "firings",
            _view(store, "firing", "captured_at", "sequence", "capture_id"),
            _view(expected, "firing", "captured_at", "sequence", "capture_id"),
        ),
        (
            "enrolments",
            _generations(store),
            _generations(expected),
        ),
        ("events", _events(store), _events(expected)),
        ("target", _told(world), _standing(store)),
    ):
        if left != right:
            broken.append(f"{promise} differ: {left!r} is not {right!r}"[:600])
    rows = store.rows("outbox").values()
    keys = [row["idempotency_key"] for row in rows]
    if len(keys) != len(set(keys)):
        broken.append("an idempotency key stands in two outbox rows")
    # What was delivered, undone and is told again has a longer key by then.
    if strange := [
        one for one in world.target.keys if not any(key.startswith(one) for key in keys)
    ]:
        broken.append(f"the target was told of {strange}, of which nobody left word")
    delivered = {row["idempotency_key"] for row in rows if row["state"] == "delivered"}
    if untold := delivered - world.target.keys.keys():
        broken.append(f"the target was not told of {sorted(untold)}")


def _bad(load: Workload) -> set[tuple[int, str, str, str]]:
    return {
        one.key
        for one in load.changes
        if (one.org_id, one.capture_id, one.record_id) in load.refused
    }


def _letters(store: Store) -> set[tuple[str, ...]]:
    return {key for key in store.rows("dead_letter") if key[0] != "message"}


def _view(store: Store, table: str, *names: str) -> dict[object, tuple[object, ...]]:
    rows = store.rows(table).items()
    return {key: tuple(row[name] for name in names) for key, row in rows}


def _generations(store: Store) -> dict[object, tuple[object, ...]]:
    """Return who was ever enrolled; a row of nobody may stay of a firing that moved."""
    seen = _view(store, "enrollment", "generation", "exited_generation")
    return {key: generations for key, generations in seen.items() if generations[0]}


def _events(store: Store) -> list[tuple[object, ...]]:
    names = ("kind", "sequence", "recipient", "captured_at", "capture_id", "rule", "record_id")
    rows = store.rows("event").values()
    return sorted(tuple(row[name] for name in names) for row in rows)


def _told(world: World) -> dict[tuple[str, str], bool]:
    return {key: True for key, is_in in sorted(world.target.enrolled.items()) if is_in}


def _standing(store: Store) -> dict[tuple[str, str], bool]:
    return {
        (row["sequence"], row["recipient"]): True
        for _, row in sorted(store.rows("enrollment").items())
        if row["generation"] > row["exited_generation"]
    }
