"""A worker that was overtaken: messages of a later version come, which it leaves to newer workers.

They go back to their queue whole, and so that they are not handed over for nothing again and again,
each time counted by the broker towards the delivery limit, it consumes nothing for a while: half a
minute at first, at last an hour, until for as long after it none has come.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.lifecycle import first_of

if TYPE_CHECKING:
    import asyncio

    from aio_pika.abc import AbstractConnection

    from pipeline.envelope import NewerEnvelope

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 3600.0


class Overtaken:
    """What keeps a worker from consuming, and for how long; whether it rests for it just now."""

    def __init__(self) -> None:
        self.is_resting = False
        self._why: str | None = None
        self._pause_s = 0.0
        self._until = 0.0

    def by(self, error: NewerEnvelope) -> None:
        """Note that a message of a later version came."""
        last_s = 0.0 if self.problem() is None else self._pause_s
        self._why = f"{error}: upgrade this worker, newer ones go on meanwhile"
        self._pause_s = min(max(2 * last_s, FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._until = time.monotonic() + self._pause_s
        log.error("overtaken", error=error, pause_s=self._pause_s)

    def problem(self) -> str | None:
        """Say what could not be read, in the pause and for as long again, whatever else comes."""
        return self._why if time.monotonic() < self._until + self._pause_s else None

    async def rest(self, connection: AbstractConnection, stop: asyncio.Event) -> None:
        """Return once consuming may be tried, at `stop`, or when the connection ends."""
        left_s = self._until - time.monotonic()
        if left_s > 0:
            self.is_resting = True
            try:
                await first_of(stop.wait(), connection.closed(), timeout_s=left_s)
            finally:
                self.is_resting = False
