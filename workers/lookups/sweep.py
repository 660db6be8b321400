"""Once a second: what waits, what has to be evaluated again, what ended while nobody looked.

Every worker sweeps for all orgs and objects. Rows are claimed, so that workers share what there is,
and each piece of work is bounded: what is left over goes on with the next sweep.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from pipeline.lifecycle import wait_or_stop
from pipeline.redaction import redacted
from workers.continuity.confirmation import Confirmation
from workers.enrollments import recheck_ends
from workers.healing.audits import Audits
from workers.lookups.arrivals import Arrivals
from workers.lookups.descent import Descent
from workers.lookups.traversals import Traversals
from workers.rule_book import RuleBook

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from pipeline.database import Pool
    from pipeline.settings import Worker

log = structlog.get_logger()

_PAGES: Final = 10
_ENDS_PER_PAGE: Final = 200
# The pause while there is more to do: the consumer's batches come in between.
_BUSY_PAUSE_S: Final = 0.05
# A sweep that has not come to its end for so long is a fault; one that waits for its turn is not.
_LATE_S: Final = 30.0


class Sweep:
    """Does what changes left for later."""

    def __init__(self, pool: Pool, settings: Worker) -> None:
        book = RuleBook()
        self._pool = pool
        self._pause_s = settings.sweep_s
        # Traversals come first: what is claimed below goes by what they say is ready.
        descent = Descent(pool, book, parent_wait_s=settings.parent_wait_s)
        self._chores: tuple[Callable[[], Awaitable[bool]], ...] = (
            Traversals(pool, book).page,
            Arrivals(pool, book).page,
            descent.see,
            descent.page,
            self._recheck_ends,
            Confirmation(pool, book, parent_wait_s=settings.parent_wait_s).page,
            Audits(pool).page,
        )
        self._swept_at = time.monotonic()
        self._error: str | None = None

    def problem(self) -> str | None:
        """Say that no sweep has come to its end for long, and why, or None."""
        late_s = time.monotonic() - self._swept_at - self._pause_s
        if late_s < _LATE_S:
            return None
        return f"no sweep for {late_s:.0f} s: {self._error or 'one is under way'}"

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep until `stop`. Whatever fails is told once and tried again with the next sweep."""
        pause_s = 0.0
        while not await wait_or_stop(stop, pause_s):
            pause_s = self._pause_s
            try:
                if await self.once(stop):
                    pause_s = min(_BUSY_PAUSE_S, self._pause_s)
                self._error = None
                self._swept_at = time.monotonic()
            except Exception as error:
                if self._error != redacted(error):
                    log.warning("sweep_held", exc_info=error)
                self._error = redacted(error)

    async def once(self, stop: asyncio.Event | None = None) -> bool:
        """Sweep once; tell whether there is more to be done than one sweep may do.

        Raises:
            Exception: the first error of a chore, after the others had their turn.
        """
        has_more = False
        failure: Exception | None = None
        for chore in self._chores:
            try:
                has_more |= await _in_pages(chore, stop)
            except Exception as error:  # noqa: BLE001  raised below
                failure = failure or error
        if failure is not None:
            raise failure
        return has_more

    async def _recheck_ends(self) -> bool:
        async with self._pool.acquire() as connection:
            return await recheck_ends(connection, _ENDS_PER_PAGE) == _ENDS_PER_PAGE


async def _in_pages(chore: Callable[[], Awaitable[bool]], stop: asyncio.Event | None) -> bool:
    """Do a chore page by page; tell whether it was cut short by the bound of a sweep."""
    for _ in range(_PAGES):
        if (stop is not None and stop.is_set()) or not await chore():
            return False
    return True
