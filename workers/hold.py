"""Holding a batch while something transient is in its way; nothing held is ever dead-lettered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    stop_never,
    wait_exponential,
    wait_random,
)

from pipeline import metrics
from pipeline.database import require_migrated
from pipeline.errors import Kind, TransientError, classify, retry_reason
from pipeline.lifecycle import wait_or_stop
from pipeline.redaction import redacted
from workers.dead_letters import TooManyDeadLetters

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from pipeline.database import Pool

T = TypeVar("T")

log = structlog.get_logger()


class HoldExpired(TransientError):
    """The database was away for so long that the deliveries had better wait in the queue."""


class Ends(NamedTuple):
    """The two ways in which consuming on a connection ends."""

    stop: asyncio.Event
    lost: asyncio.Event

    def near(self) -> bool:
        """Whether no further batch is to be begun."""
        return self.stop.is_set() or self.lost.is_set()


class Hold:
    """Tries again what is held, after 0.1 to 5 s, and knows what it is held for."""

    def __init__(self, pool: Pool, hold_s: float) -> None:
        self._pool = pool
        self._hold_s = hold_s
        self.reason: str | None = None

    async def until_database_answers(self, stop: asyncio.Event) -> bool:
        """Wait for a migrated database, so as not to take deliveries only to hold them.

        Tells whether there is one; there may be none at `stop`.
        """

        async def probe() -> None:
            if not stop.is_set():
                async with self._pool.acquire() as database:
                    await require_migrated(database)

        await self._retrying(stop)(probe)
        self.reason = None
        return not stop.is_set()

    async def until_done(self, process: Callable[[], Awaitable[T]], ends: Ends) -> T:
        """Process until it succeeds, however often something transient comes in between.

        Raises:
            HoldExpired: held for `hold_s`, or the end is near; nothing was committed or settled.
            Exception: what is not transient.
        """

        def expired(state: RetryCallState) -> bool:
            held_s = state.seconds_since_start or 0.0
            return ends.near() or held_s > self._hold_s

        try:
            outcome: T = await self._retrying(ends.stop, until=expired)(process)
        except RetryError as error:
            raise HoldExpired(self.reason or "stopping") from error
        self.reason = None
        return outcome

    def _retrying(
        self, stop: asyncio.Event, until: Callable[[RetryCallState], bool] = stop_never
    ) -> AsyncRetrying:
        async def sleep(seconds: float) -> None:
            await wait_or_stop(stop, seconds)

        return AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_exponential(multiplier=0.1, max=4.5) + wait_random(0, 0.5),
            stop=until,
            sleep=sleep,
            before_sleep=self._tell,
        )

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.reason = "holding" if error is None else f"holding: {redacted(error)}"
        metrics.retries.labels(retry_reason(error)).inc()
        log.warning("holding", error=error, attempt=state.attempt_number)


def _is_transient(error: BaseException) -> bool:
    return (
        isinstance(error, Exception)
        and not isinstance(error, TooManyDeadLetters)
        and classify(error) is Kind.TRANSIENT
    )
