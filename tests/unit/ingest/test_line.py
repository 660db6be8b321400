from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.line import fair_share


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
