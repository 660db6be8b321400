"""A burst, and what the ScaledObject's numbers make of it with real workers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline.lifecycle import wait_or_stop
from tests.autoscaling.autoscaler import Autoscaler
from tests.autoscaling.burst import RULES, Burst
from tests.autoscaling.deployment import Deployment
from tests.autoscaling.verdict import differences, kept
from tests.salesforce import Salesforce

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from pipeline.objects import SObject
    from tests.autoscaling.autoscaler import ScaledObject
    from tests.autoscaling.depth import Depth
    from tests.processes import PenstockProcesses

_ACCEPTED: Final = 202
_COMMITTED: Final = "SELECT count(*) FROM change"


class Load(NamedTuple):
    """How much is sent, over how many connections, and drawn from what."""

    change_count: int
    connection_count: int = 64
    seed: int = 7


class Moment(NamedTuple):
    """How things stood: messages that wait or are in hand; since the beginning, callouts that were
    accepted and changes that were committed.
    """

    at_s: float
    message_count: int
    callout_count: int
    committed_count: int
    replica_count: int


class Outcome(NamedTuple):
    """What became of a burst; `broken` says in what it was not as it has to be."""

    timeline: list[Moment]
    answers: Counter[int]
    change_count: int
    # Until the last change of the burst was accepted, and until it was committed.
    accepted_s: float
    committed_s: float
    redelivered_count: int
    ended_count: int
    broken: list[str]

    @property
    def highest_count(self) -> int:
        """The most workers there were at once."""
        return max(one.replica_count for one in self.timeline)


class Run:
    """One burst at one object, whose workers are scaled meanwhile."""

    def __init__(  # noqa: PLR0913  what a run hangs on, each named at the call
        self,
        penstock: PenstockProcesses,
        numbers: ScaledObject,
        depth: Depth,
        load: Load,
        *,
        sobject: SObject,
        grace_s: float,
        folder: Path,
        look_every_s: float,
        said: Callable[[Moment], None],
    ) -> None:
        self._penstock = penstock
        self._numbers = numbers
        self._depth = depth
        self._load = load
        self._path = folder / "requests"
        self._look_every_s = look_every_s
        self._said = said
        self._deployment = Deployment(penstock, sobject.lower(), grace_s)
        self._autoscaler = Autoscaler(numbers)
        self._timeline: list[Moment] = []
        self._sent_s: float | None = None
        self._committed_s = 0.0
        self._burst_count = 0
        self._stop = asyncio.Event()
        self._deciding = asyncio.Lock()
        self._began = 0.0

    async def __call__(self, timeout_s: float) -> Outcome:
        """Send, scale, and go on until no more workers are left than there were at first.

        Raises:
            TimeoutError: there are more after `timeout_s`.
        """
        numbers, deployment = self._numbers, self._deployment
        await self._penstock.start_ingest()
        org = await Salesforce.connect(self._penstock, rules=RULES)
        await deployment.scale_to(numbers.min_count)
        await deployment.started()
        burst = Burst(org, self._load.change_count, self._load.seed)
        burst.prepare(self._path)
        self._began = time.monotonic()
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(burst))
            tasks.create_task(burst.trickle(self._stop))
            tasks.create_task(self._every(numbers.polling_s, self._poll))
            tasks.create_task(self._every(numbers.sync_s, self._sync))
            tasks.create_task(self._every(self._look_every_s, lambda: self._look(burst)))
        await self._penstock.until_counted(burst.sent_count, _COMMITTED)
        ended_count = deployment.ending_count
        await deployment.scale_to(0)
        broken = await deployment.ended()
        found = await kept(self._penstock)
        broken += differences(found, burst.captures)
        if ended_count == 0:
            broken.append("there were never more workers than at first")
        return Outcome(
            self._timeline,
            burst.answers,
            burst.sent_count,
            self._sent_s or 0.0,
            self._committed_s,
            found.counts["redeliveries"],
            ended_count,
            broken,
        )

    def _now_s(self) -> float:
        return time.monotonic() - self._began

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        due_s = 0.0
        while not await wait_or_stop(self._stop, max(0.0, due_s - self._now_s())):
            await act()
            due_s += period_s

    async def _send(self, burst: Burst) -> None:
        port = int(self._penstock.ingest_url.rpartition(":")[2])
        await burst.send(self._path, port, self._load.connection_count)
        self._sent_s, self._burst_count = self._now_s(), burst.sent_count

    async def _poll(self) -> None:
        await self._decide(self._autoscaler.poll)

    async def _sync(self) -> None:
        await self._decide(self._autoscaler.sync)

    async def _decide(self, decide: Callable[[float, int, int], int]) -> None:
        async with self._deciding:
            message_count = await self._depth()
            count = self._deployment.replica_count
            await self._deployment.scale_to(decide(self._now_s(), message_count, count))

    async def _look(self, burst: Burst) -> None:
        (committed_count,) = (await self._penstock.fetch(_COMMITTED))[0]
        moment = Moment(
            self._now_s(),
            await self._depth(),
            burst.answers[_ACCEPTED],
            committed_count,
            self._deployment.replica_count,
        )
        self._timeline.append(moment)
        self._said(moment)
        is_committed = self._sent_s is not None and committed_count >= self._burst_count
        if is_committed and not self._committed_s:
            self._committed_s = moment.at_s
        has_fallen = moment.replica_count <= self._numbers.min_count
        rests_s = self._numbers.stabilisation_s + 2 * self._numbers.sync_s
        if is_committed and has_fallen and moment.at_s > self._committed_s + rests_s:
            self._stop.set()
