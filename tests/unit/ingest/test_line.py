from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.line import Line, fair_share
from pipeline.objects import SObject
from pipeline.progress import Mark


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50), st.floats(1, 20_000))
def test_what_is_within_the_share_fits_and_none_of_the_room_is_left(
    counts: list[int], room_count: float
) -> None:
    share = fair_share(counts, room_count)
    within = sum(min(count, share) for count in counts)
    assert within <= room_count * (1 + 1e-9)
    if sum(counts) >= room_count:
        assert within == pytest.approx(room_count)


def test_who_has_little_leaves_the_rest_to_the_others() -> None:
    assert fair_share([10, 10, 500, 900], 420) == 200
    assert fair_share([1000], 300) == 300
    assert fair_share([], 300) == 300


def test_what_the_broker_refused_waits_for_nobody() -> None:
    line = Line(3000, now_ms=0)
    line.admit("org", 1, 1000)
    line.published(1000)
    here = Mark("here", SObject.LEAD, 1005, None)
    line.hear("worker", 1, [here], "here", 1300)
    assert line.wait_s(1400) == 0
    # The broker was away; since then all comes by way of another ingest, and workers are prompt.
    line.admit("org", 200, 2000)
    for now_ms in range(2500, 60_000, 250):
        there = Mark("there", SObject.LEAD, now_ms, None)
        line.hear("worker", now_ms, [here, there], "here", now_ms)
    assert line.wait_s(60_000) == 0
    for now_ms in range(60_000, 60_500):
        line.admit("org", 10, now_ms)
        line.published(now_ms)
        assert not line.is_over("org", now_ms)
    # What then waits waits since it came, and no longer.
    assert line.wait_s(60_500) <= 0.5
