"""Steady load on ingest, as Apex sends it: what is not accepted is sent again until it is."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

import aiohttp

from tests.salesforce import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.flow import Flow
    from tests.chaos.records import Callout, Records

# Apex waits so long for an answer unless it is told otherwise.
_TIMEOUT_S: Final = 10.0
# Past it no transaction begins until others are through.
_MAX_UNDER_WAY: Final = 200
_LONGEST_PAUSE_S: Final = 4.0
_PASSING: Final = frozenset({429, 503})
_REPEATED_SHARE: Final = 0.04


class Traffic:
    """Sends from the beginning of the block to `stop`; then what is under way, to the last 202."""

    def __init__(
        self, seed: int, url: str, secrets: Mapping[str, str], records: Records, flow: Flow
    ) -> None:
        self.accepted: list[Callout] = []
        self.answers: Counter[str] = Counter()
        self.broken: list[str] = []
        self._rng = random.Random(f"traffic {seed}")
        self._url, self._secrets, self._records, self._flow = url, secrets, records, flow
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._session: aiohttp.ClientSession
        self._saving: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        # No connection is kept: who cut them is of no interest, and Apex keeps none for long.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._session.close()

    @property
    def change_count(self) -> int:
        """How many changes were accepted."""
        return sum(len(callout.changes) for callout in self.accepted)

    async def run(self, per_s: float) -> None:
        """Save `per_s` transactions a second until `stop`; then return once all is accepted."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while not self._stopping.is_set():
            due_s = max(due_s + 1 / per_s, loop.time() - 1.0)
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if len(self._under_way) < _MAX_UNDER_WAY:
                for callout in self._records.next_callouts():
                    task = asyncio.create_task(self._until_accepted(callout))
                    self._under_way.add(task)
                    task.add_done_callback(self._under_way.discard)
        while self._under_way:
            await asyncio.wait(self._under_way)

    def stop(self) -> None:
        """Let nothing new happen."""
        self._stopping.set()

    async def _until_accepted(self, callout: Callout) -> None:
        pause_s = 0.5
        while not await self._send(callout):
            # Parked, and sent in a job of its own; later changes may well come first.
            await asyncio.sleep(pause_s * (0.5 + self._rng.random()))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self.accepted.append(callout)
        self._flow.note_accepted()
        # An answer that Apex did not see.
        if self._rng.random() < _REPEATED_SHARE:
            await self._send(callout)

    async def _send(self, callout: Callout) -> bool:
        url = f"{self._url}/v1/orgs/{callout.org_id}/changes"
        headers = sign(self._secrets[callout.org_id], callout.body)
        try:
            async with self._session.post(url, data=callout.body, headers=headers) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.answers["none"] += 1
            return False
        self.answers[str(response.status)] += 1
        if response.status == HTTPStatus.ACCEPTED:
            return True
        if response.status not in _PASSING:
            self.broken.append(f"ingest answered {response.status}: {text[:200]}")
        elif "Retry-After" not in response.headers:
            self.broken.append(f"ingest answered {response.status} without Retry-After")
        return False
