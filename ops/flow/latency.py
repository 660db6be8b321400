"""Percentiles out of the buckets that processes count latencies in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec

from pipeline.tally import LATENCY_BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Sequence

_BOUNDS_MS: Final = tuple(bound * 1000 for bound in LATENCY_BOUNDS_S)


class Latency(msgspec.Struct, frozen=True):
    """How long something took, in ms: half of it at most `p50_ms`, all but 1 % at most `p99_ms`.

    None where nothing was measured. Beyond the last bucket (300 s) the bound stands for it.
    """

    p50_ms: float | None = None
    p99_ms: float | None = None

    @classmethod
    def of(cls, counts: Sequence[int]) -> Self:
        """Interpolate in the counts of the buckets, of which the last has no bound."""
        return cls(percentile(counts, 0.5), percentile(counts, 0.99))


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the time (ms) that `share` of what was counted took at most, or None without any."""
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    below = 0
    lower = 0.0
    for count, upper in zip(counts, _BOUNDS_MS, strict=False):
        if below + count >= wanted:
            return round(lower + (upper - lower) * (wanted - below) / count, 1)
        below += count
        lower = upper
    return lower
