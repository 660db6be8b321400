"""How often an address may fail to sign in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 10
_WITHIN_S: Final = 60.0
_MOST_ADDRESSES: Final = 10_000


class Attempts:
    """Counts failures by address: at most 10 a minute. Tokens cannot be guessed all the same.

    Bounded: of more than 10,000 addresses the one that failed longest ago is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, list[float]] = {}

    def wait_s(self, address: str) -> float:
        """Return how long an address has to wait, in seconds; 0 for not at all."""
        recent = self._recent(address)
        return 0.0 if len(recent) < _MOST else recent[0] + _WITHIN_S - self._clock()

    def failed(self, address: str) -> None:
        """Count a failure."""
        recent = [*self._recent(address), self._clock()]
        # At the end, so that the first is the one that failed longest ago.
        self._failures.pop(address, None)
        self._failures[address] = recent[-_MOST:]
        while len(self._failures) > _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - _WITHIN_S
        return [at for at in self._failures.get(address, ()) if at > since]
