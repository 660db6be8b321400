"""Callouts one after the other from many senders at once, and what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from pipeline.objects import long_id
from tests.salesforce import callout
from tests.servers import until

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses
    from tests.salesforce import Salesforce

_STOP_TIMEOUT_S = 60.0


class Load:
    """Inserts a new Lead with each callout, of which `RULE` enrols every one.

    Sends from the beginning of the block to its end, or `limit` callouts, which `sent` waits for.
    Each sender rests for `rest_s` after an answer. `first` is the number of the first Lead.
    """

    def __init__(
        self,
        org: Salesforce,
        *,
        sender_count: int = 20,
        limit: int = 1_000_000,
        rest_s: float = 0.0,
        first: int = 0,
    ) -> None:
        self.accepted: set[str] = set()
        # A connection that ended without an answer, or was never made.
        self.unanswered: set[str] = set()
        self.answers: Counter[int] = Counter()
        self.slowest_s = 0.0
        # Answers that put the sender off and do not say for how long.
        self.bare_count = 0
        self._accepted_at = time.monotonic()
        self._longest_pause_s = 0.0
        self._org = org
        self._sender_count = sender_count
        self._rest_s = rest_s
        self._numbers = iter(range(first, first + limit))
        self._stopping = False
        self._senders: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._senders = [asyncio.create_task(self._send()) for _ in range(self._sender_count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await self.sent()

    async def sent(self) -> None:
        """Return once every sender has had its last answer."""
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await asyncio.gather(*self._senders)

    async def until_accepted(self, more_count: int) -> None:
        """Return once `more_count` more callouts than now were answered 202."""
        target = len(self.accepted) + more_count
        await until(lambda: len(self.accepted) >= target)

    def pause_s(self) -> float:
        """Return the longest time without a 202 since this was last asked."""
        now = time.monotonic()
        longest_s = max(self._longest_pause_s, now - self._accepted_at)
        self._accepted_at, self._longest_pause_s = now, 0.0
        return longest_s

    def assert_put_off_at_worst(self, within_s: float = 2.0) -> None:
        """Check that all was answered, with 202, or 503 or 429 and Retry-After, in time."""
        assert not self.unanswered
        assert self.answers.keys() <= {202, 429, 503}, self.answers
        assert self.bare_count == 0
        assert self.slowest_s < within_s

    async def assert_kept(self, penstock: PenstockProcesses) -> None:
        """Wait until all that was accepted is in the history.

        What got no answer, or 503, may be there too: it was the sender's to repeat.
        """
        kept = "SELECT count(*) FROM change WHERE capture_id = ANY($1)"
        await penstock.until_counted(len(self.accepted), kept, sorted(self.accepted))

    async def assert_kept_once(self, penstock: PenstockProcesses) -> None:
        """Wait until all that was accepted is in the history, and check that it had its effects.

        Nothing else was sent to the database's worker.
        """
        await self.assert_kept(penstock)
        (counts,) = await penstock.fetch("""
            SELECT (SELECT count(*) FROM change) AS changes,
                   (SELECT count(*) FROM record) AS records,
                   (SELECT count(*) FROM firing) AS firings,
                   (SELECT count(*) FROM enrollment) AS enrollments,
                   (SELECT count(*) FROM outbox) AS outbox,
                   (SELECT count(*) FROM dead_letter) AS dead_letters""")
        assert counts["dead_letters"] == 0
        kept = {count for name, count in counts.items() if name != "dead_letters"}
        assert len(kept) == 1, dict(counts)
        assert kept != {0}

    async def _send(self) -> None:
        for number in self._numbers:
            if self._stopping:
                return
            await self._send_one(number)
            await asyncio.sleep(self._rest_s)

    async def _send_one(self, number: int) -> None:
        document = _insert(number)
        started = time.monotonic()
        try:
            # Salesforce compresses; whoever else sends may not.
            response = await self._org.send(document, compressed=number % 2 == 0)
        except aiohttp.ClientError:
            self.unanswered.add(document["capture_id"])
            # As long as nobody listens, trying at once would only keep the processor busy.
            await asyncio.sleep(0.01)
            return
        now = time.monotonic()
        self.slowest_s = max(self.slowest_s, now - started)
        self.answers[response.status] += 1
        if response.status == 202:
            self.accepted.add(document["capture_id"])
            self._longest_pause_s = max(self._longest_pause_s, now - self._accepted_at)
            self._accepted_at = now
        elif "Retry-After" not in response.headers:
            self.bare_count += 1


def _insert(number: int) -> dict[str, Any]:
    lead = {
        "Id": long_id(f"00Q5g0000{number:06d}"),
        "Status": "Qualified",
        "Rating": "Hot",
        "Email": f"lead{number}@example.com",
    }
    return callout([{"new": lead}], operation="insert")
