"""Who may come in now: a rate per org, and a bound on the bytes held by all requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from ingest.problems import too_many, unavailable
from pipeline import metrics

if TYPE_CHECKING:
    from collections.abc import Callable


class OrgRates:
    """A token bucket per known org, one second deep."""

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, org_id: str) -> None:
        """Refuse an org that has no token left; take none.

        Raises:
            Problem: 429.
        """
        self._left(org_id)

    def admit(self, org_id: str) -> None:
        """Take one token.

        Raises:
            Problem: 429, the org has none left.
        """
        self._buckets[org_id] = (self._left(org_id) - 1, self._clock())

    def _left(self, org_id: str) -> float:
        now = self._clock()
        tokens, seen = self._buckets.get(org_id, (float(self._per_s), now))
        tokens = min(self._per_s, tokens + (now - seen) * self._per_s)
        if tokens < 1:
            raise too_many(f"this org sends more than {self._per_s} callouts a second")
        return tokens


class InFlight:
    """The bytes of the bodies that requests under way hold."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.held_bytes = 0
        # Asked for when it is scraped, rather than told three times a callout.
        metrics.in_flight_bytes.set_function(lambda: self.held_bytes)

    def hold(self) -> Hold:
        """Return a counter for one request; what it counted is given back at the block's end."""
        return Hold(self)

    def count(self, size_bytes: int) -> None:
        """Add to the total.

        Raises:
            Problem: 503, the total would be over the bound.
        """
        if size_bytes > 0 and self.held_bytes + size_bytes > self._max_bytes:
            raise unavailable("too many bodies are being read at once")
        self.held_bytes += size_bytes


class Hold:
    """The bytes that one request holds."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in_flight.count(-self.size_bytes)

    def add(self, size_bytes: int) -> None:
        """Count `size_bytes` more of this request's body."""
        self._in_flight.count(size_bytes)
        self.size_bytes += size_bytes
