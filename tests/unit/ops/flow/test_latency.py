from __future__ import annotations

import pytest

from ops.flow.latency import Latency, percentile
from pipeline.tally import LATENCY_BOUNDS_S

BUCKETS = len(LATENCY_BOUNDS_S) + 1


def counts(**by_bound: int) -> list[int]:
    """`_0_05=3`: three that took at most 0.05 s, and more than the bound before it."""
    found = [0] * BUCKETS
    for name, count in by_bound.items():
        found[LATENCY_BOUNDS_S.index(float(name[1:].replace("_", ".")))] = count
    return found


def test_nothing_measured_has_no_latency() -> None:
    assert Latency.of([]) == Latency.of([0] * BUCKETS) == Latency(None, None)


def test_a_percentile_lies_in_its_bucket_as_far_as_its_share_reaches() -> None:
    # Evenly between 25 and 50 ms.
    found = counts(_0_05=100)
    assert percentile(found, 0.5) == pytest.approx(37.5)
    assert percentile(found, 0.99) == pytest.approx(49.8, abs=0.1)


def test_the_slowest_hundredth_is_what_p99_shows() -> None:
    latency = Latency.of(counts(_0_01=980, _5_0=20))
    assert latency.p50_ms is not None
    assert latency.p50_ms < 10
    assert latency.p99_ms is not None
    assert 2500 < latency.p99_ms < 5000


def test_beyond_the_last_bound_the_bound_is_told() -> None:
    assert percentile([0] * (BUCKETS - 1) + [9], 0.5) == LATENCY_BOUNDS_S[-1] * 1000
