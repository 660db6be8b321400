"""Whether work flows: when something was last accepted, committed and delivered."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final, NamedTuple

import asyncpg

from pipeline.database import DATABASE_ERRORS

_POLL_S: Final = 0.03
_CONNECT_TIMEOUT_S: Final = 2.0
_NEWEST: Final = "SELECT coalesce(max(firing_id), 0) FROM firing"


class Recovery(NamedTuple):
    """The seconds from a fault's end until the first new 202, commit and delivery."""

    accepted_s: float
    committed_s: float
    delivered_s: float

    @property
    def all_s(self) -> float:
        """Until all of them were there again."""
        return max(self)


class Flow:
    """Notes what happens, and waits for what happens next. The database is asked directly."""

    def __init__(self) -> None:
        self._waits: dict[str, list[asyncio.Future[float]]] = {
            "accepted": [],
            "committed": [],
            "delivered": [],
        }

    def note_accepted(self) -> None:
        self._note("accepted")

    def note_delivery(self) -> None:
        self._note("delivered")

    async def recovered(self, within_s: float) -> Recovery:
        """Return how long from now each takes to happen again.

        Raises:
            TimeoutError: something did not; names it.
        """
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        waits = {name: loop.create_future() for name in self._waits}
        for name, wait in waits.items():
            self._waits[name].append(wait)
        await asyncio.wait(waits.values(), timeout=within_s)
        missing = [name for name, wait in waits.items() if not wait.done()]
        if missing:
            raise TimeoutError(f"nothing was {' and '.join(missing)} within {within_s:.0f} s")
        return Recovery(*(wait.result() - began_s for wait in waits.values()))

    async def watch_commits(self, url: str) -> None:
        """Look at the database for ever, whether it is there or not."""
        while True:
            with contextlib.suppress(*DATABASE_ERRORS):
                connection = await asyncpg.connect(
                    url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_CONNECT_TIMEOUT_S
                )
                try:
                    # What was committed while nobody could look has no time.
                    newest = await connection.fetchval(_NEWEST)
                    while True:
                        seen = await connection.fetchval(_NEWEST)
                        if seen > newest:
                            newest = seen
                            self._note("committed")
                        await asyncio.sleep(_POLL_S)
                finally:
                    connection.terminate()
            await asyncio.sleep(_POLL_S)

    def _note(self, what: str) -> None:
        now_s = asyncio.get_running_loop().time()
        waits, self._waits[what] = self._waits[what], []
        for wait in waits:
            if not wait.done():
                wait.set_result(now_s)
