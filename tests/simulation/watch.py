"""What is seen from outside while a run goes on: the trace, and promises broken on the way."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

from workers.received import decode

if TYPE_CHECKING:
    from tests.simulation.broker import Message
    from tests.simulation.store import Store


class Broken(AssertionError):
    """A promise that did not hold."""


class Watch:
    """Notes events, and checks each settlement as it is made."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.broken: list[str] = []
        self.store: Store | None = None
        self._settled: set[int] = set()
        self._tasks: set[asyncio.Task[object]] = set()

    def note(self, *what: object) -> None:
        now_s = asyncio.get_running_loop().time()
        self.events.append(f"{now_s:10.4f} {' '.join(map(str, what))}")

    def keep(self, task: asyncio.Future[object]) -> None:
        assert isinstance(task, asyncio.Task)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def breaks(self, promise: str) -> None:
        self.note("BROKEN", promise)
        self.broken.append(promise)

    def settled(self, message: Message, how: str) -> None:
        """Look at a settlement in the moment in which it is asked for."""
        self.note("settle", message.tag, how)
        task = asyncio.current_task()
        if message.tag in self._settled:
            self.breaks(f"delivery {message.tag} was settled twice")
        if task is not None and task.cancelling():
            self.breaks(f"delivery {message.tag} was settled by a cancellation")
        self._settled.add(message.tag)
        assert self.store is not None
        for change in decode(message.body).changes:
            if not self.store.keeps(change):
                self.breaks(f"delivery {message.tag} was settled before its commit")
                return

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.events).encode()).hexdigest()
