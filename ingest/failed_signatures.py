"""Requests that were not proven to come from their org, counted by address and by org.

Past either limit strangers are refused at the least cost. The org itself is not: a secret of 256
bits cannot be guessed, so what is to be bounded is what a guess costs here. A small body costs no
more to check than to refuse, and is checked whatever came before; a large one is read from where
the org was heard, and from elsewhere once something small has proven it. Senders share addresses:
an address alone says nothing against one.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_WITHIN_S: Final = 60.0
# An org has callouts of many addresses; a stranger's many addresses are one org's failures too.
_ORG_FACTOR: Final = 10
_MAX_ADDRESSES: Final = 10_000
_KNOWN_S: Final = 86_400.0

Value = TypeVar("Value")


class Over(StrEnum):
    """Which limit a request is over. A metric's label, so the set is closed."""

    NEITHER = "neither"
    ADDRESS = "address"
    ORG = "org"


class FailedSignatures:
    """A bucket of failures per address and per org, and where each org was heard.

    Bounded: of more than 10,000 addresses the one that was longest unheard is forgotten.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._addresses = _Buckets(per_minute)
        self._orgs = _Buckets(per_minute * _ORG_FACTOR)
        self._known: _Newest[float] = _Newest()
        self._told: _Newest[tuple[float, int]] = _Newest()

    def over(self, org_id: str, address: str) -> Over:
        """Tell whether so many failed of late that the next is refused at the least cost."""
        now_s = self._clock()
        if self._addresses.wait_s(address, now_s) > 0:
            return Over.ADDRESS
        return Over.ORG if self._orgs.wait_s(org_id, now_s) > 0 else Over.NEITHER

    def wait_s(self, org_id: str, address: str) -> int:
        """Return when one may fail again, in whole seconds from now."""
        now_s = self._clock()
        waits_s = self._addresses.wait_s(address, now_s), self._orgs.wait_s(org_id, now_s)
        return max(1, math.ceil(max(waits_s)))

    def is_known(self, org_id: str, address: str) -> bool:
        """Tell whether the org was heard from that address within a day."""
        heard_s = self._known.get(f"{org_id} {address}")
        return heard_s is not None and self._clock() - heard_s < _KNOWN_S

    def proved(self, org_id: str, address: str) -> None:
        """Note that a request was proven to come from the org."""
        self._known.put(f"{org_id} {address}", self._clock())

    def failed(self, org_id: str, address: str) -> None:
        """Count a request that was not."""
        now_s = self._clock()
        self._addresses.take(address, now_s)
        self._orgs.take(org_id, now_s)

    def to_tell(self, org_id: str, address: str) -> int:
        """Count a refusal; return how many there are to tell of now: once a minute, else 0."""
        now_s = self._clock()
        pair = f"{org_id} {address}"
        told_s, count = self._told.get(pair) or (-math.inf, 0)
        is_due = now_s - told_s >= _WITHIN_S
        self._told.put(pair, (now_s, 0) if is_due else (told_s, count + 1))
        return count + 1 if is_due else 0


class _Newest(Generic[Value]):
    """Values by key; of too many the one that was put longest ago is dropped."""

    def __init__(self) -> None:
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str) -> Value | None:
        return self._values.get(key)

    def put(self, key: str, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > _MAX_ADDRESSES:
            self._values.popitem(last=False)


class _Buckets:
    """Token buckets, each a minute deep."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: _Newest[tuple[float, float]] = _Newest()

    def wait_s(self, key: str, now_s: float) -> float:
        """Return when there is a token again, in seconds from now; 0 if there is one."""
        return max(0.0, (1 - self._left(key, now_s)) * _WITHIN_S / self._per_minute)

    def take(self, key: str, now_s: float) -> None:
        """Take a token, if there is one."""
        self._buckets.put(key, (max(0.0, self._left(key, now_s) - 1), now_s))

    def _left(self, key: str, now_s: float) -> float:
        left, seen_s = self._buckets.get(key) or (self._per_minute, now_s)
        return min(self._per_minute, left + (now_s - seen_s) * self._per_minute / _WITHIN_S)
