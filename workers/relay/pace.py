"""How fast one target is asked: requests go out evenly, a fixed time apart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """Gives each request its turn, in the order of asking; never more than so many a second."""

    def __init__(self, requests_per_s: float, clock_s: Callable[[], float]) -> None:
        self._apart_s = 1 / requests_per_s
        self._clock_s = clock_s
        self._next_at_s = float("-inf")

    @property
    def backlog_s(self) -> float:
        """How long a request that asked now would wait for its turn."""
        return max(0.0, self._next_at_s - self._clock_s())

    async def turn(self) -> None:
        """Wait for one's turn."""
        wait_s = self.backlog_s
        self._next_at_s = self._clock_s() + wait_s + self._apart_s
        await asyncio.sleep(wait_s)
