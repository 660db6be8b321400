"""What a Deployment of workers is to Kubernetes, as processes of this machine."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses, Running

_STARTING_TIMEOUT_S: Final = 60.0
_CONSUMES: Final = '"event":"consuming"'


class Deployment:
    """Workers of one object; the newest go first, as a ReplicaSet ends its pods.

    Source: Kubernetes documentation, "ReplicaSet", "Scaling a ReplicaSet".
    """

    def __init__(self, penstock: PenstockProcesses, name: str, grace_s: float) -> None:
        self._penstock = penstock
        self._name = name
        self._grace_s = grace_s
        self._workers: list[Running] = []
        self._ending: list[asyncio.Task[str]] = []

    @property
    def replica_count(self) -> int:
        """How many are asked for."""
        return len(self._workers)

    @property
    def ending_count(self) -> int:
        """How many were told to end so far."""
        return len(self._ending)

    async def scale_to(self, count: int) -> None:
        """Start what is missing, SIGTERM what is too much, and wait for neither."""
        while len(self._workers) < count:
            self._workers.append(
                await self._penstock.launch("worker", "WORKER", {}, "--object", self._name)
            )
        while len(self._workers) > count:
            self._ending.append(asyncio.create_task(self._end(self._workers.pop())))

    async def started(self) -> None:
        """Return once all that are asked for do their work."""
        for worker in self._workers:
            await worker.ready(self._penstock.session, _STARTING_TIMEOUT_S)

    async def ended(self) -> list[str]:
        """Return what is wrong with how those ended that were told to.

        Raises:
            TimeoutError: one took longer than its grace period, after which it would be killed.
        """
        return [problem for problem in await asyncio.gather(*self._ending) if problem]

    async def _end(self, worker: Running) -> str:
        code = await worker.terminate(self._grace_s)
        # One that was just starting has nothing in hand, and takes no signal yet.
        if code == 0 or (code == -signal.SIGTERM and _CONSUMES not in worker.log):
            return ""
        return f"a worker ended with {code}: {worker.log[-500:]}"
