"""That each of several processes has its share of the work, by what it counts of it."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    import aiohttp

    from tests.processes import Running

_TIMEOUT_S: Final = 30.0
_LAST_CHARACTERS: Final = 2000
# What each kind of process counts of its work.
_DONE: Final = {
    "ingest": r"^penstock_changes_accepted_total\S* (\S+)$",
    "worker": r'^penstock_deliveries_settled_total\S*outcome="acked"\S* (\S+)$',
    "relay": r'^penstock_outbox_deliveries_total\S*outcome="delivered"\S* (\S+)$',
}


async def until_each_works(session: aiohttp.ClientSession, processes: Collection[Running]) -> None:
    """Return once each process has done something of its own after now."""
    before = {one: await _done(session, one) for one in processes}
    idle = list(processes)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            while idle:
                idle = [one for one in idle if await _done(session, one) <= before[one]]
    except TimeoutError:
        logs = "\n".join(f"{one.name}:\n{one.log[-_LAST_CHARACTERS:]}" for one in idle)
        raise AssertionError(f"nothing was done by {logs}") from None


async def _done(session: aiohttp.ClientSession, process: Running) -> float:
    """Return how much a process has done since it started."""
    async with session.get(f"{process.admin_url}/metrics") as response:
        text = await response.text()
    return sum(map(float, re.findall(_DONE[process.name], text, re.MULTILINE)))
