"""Readings among changes: one order, the contract's rule to the millisecond, and the way back."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import callout as contract
from pipeline import json_text
from pipeline.objects import Operation, SObject
from tests.changes import received
from tests.salesforce import LEAD_ID, ORG_ID, callout
from tests.snapshots import datetime_of
from workers.healing.reading import SETTLED_AFTER_MS, Reading, is_reading, read_at_of

SECOND_MS: Final = 1000
# A whole second.
AT: Final = 1_795_430_400_000
MAX_SEQUENCE: Final = 2**31 - 1

# Around one second, and what is read of it around 15 minutes later.
seconds = st.integers(-2, 2).map(lambda second: AT + second * SECOND_MS)
moments = st.one_of(
    st.integers(AT - 2000, AT + 2000),
    st.sampled_from([AT - 1, AT, AT + 1, AT + 999, AT + SECOND_MS]),
)
read_times = st.one_of(
    moments.map(lambda moment: moment + SETTLED_AFTER_MS),
    st.integers(AT + 2000, AT + 10 * SETTLED_AFTER_MS),
)
capture_ids = st.sampled_from(["0", "00000000-0000-4000-8000-000000000001", "z" * 36])
changes = st.tuples(moments, st.sampled_from([0, 1, MAX_SEQUENCE]), capture_ids)


def header(read_at: int, **keys: Any) -> contract.Header:
    return contract.Header(
        **{
            "version": 1,
            "org_id": ORG_ID,
            "object": SObject.LEAD,
            "operation": Operation.SNAPSHOT,
            "capture_id": "page-1",
            "transaction_id": "transaction-1",
            "sequence": 0,
            "captured_at": read_at,
            "read_at": read_at,
            **keys,
        }
    )


def reading(read_at: int, modstamp: int | None, capture_id: str = "page-1") -> Reading:
    text = None if modstamp is None else datetime_of(modstamp)
    return Reading.of(header(read_at, capture_id=capture_id), text)


readings = st.builds(reading, read_times, st.none() | seconds, capture_ids)


@given(seconds, read_times, changes)
def test_in_one_second_the_change_wins_unless_the_reading_came_15_minutes_later(
    modstamp: int, read_at: int, change: tuple[int, int, str]
) -> None:
    captured_at = change[0]
    if captured_at // SECOND_MS == modstamp // SECOND_MS:
        change_wins = read_at < captured_at + SETTLED_AFTER_MS
    else:
        change_wins = captured_at > modstamp

    assert (reading(read_at, modstamp).order < change) is change_wins


@given(read_times, changes)
def test_an_absence_wins_over_what_was_captured_15_minutes_before_it(
    read_at: int, change: tuple[int, int, str]
) -> None:
    change_wins = change[0] > read_at - SETTLED_AFTER_MS

    assert (reading(read_at, None).order < change) is change_wins


@given(seconds, read_times, seconds, read_times)
def test_of_two_readings_the_newer_state_wins_and_of_one_state_the_later_reading(
    modstamp: int, read_at: int, other_modstamp: int, other_read_at: int
) -> None:
    one, other = reading(read_at, modstamp), reading(other_read_at, other_modstamp)
    key, other_key = (modstamp, read_at), (other_modstamp, other_read_at)

    assert (one.order < other.order) is (key < other_key)
    assert (one.transaction_id == other.transaction_id) is (modstamp == other_modstamp)


@given(st.lists(readings, min_size=2, max_size=3), st.lists(changes, min_size=1, max_size=2))
def test_readings_and_changes_have_one_order(
    read: list[Reading], captured: list[tuple[int, int, str]]
) -> None:
    orders = {one.order for one in read} | set(captured)
    for one, other in permutations(orders, 2):
        assert (one < other) is not (other < one)
    for one, other, third in permutations(orders, 3):
        assert one < third or not (one < other < third)
    assert all(is_reading(one.order[2]) for one in read)
    assert not any(is_reading(capture_id) for *_, capture_id in captured)


@pytest.mark.parametrize("capture_id", ["~", "~abc", "~1", "~12345678901234-x", "~000000000000001"])
def test_a_captures_id_that_only_looks_like_a_readings_is_none(capture_id: str) -> None:
    assert read_at_of(capture_id) is None
    assert read_at_of("~000000000000123-c") == 123


@pytest.mark.parametrize(
    ("text", "modstamp"),
    [
        ("2026-11-23T10:40:00.000+0000", AT),
        ("2026-11-23T10:40:00.000Z", AT),
        ("2026-11-23T10:40:00Z", AT),
        ("2026-11-23T10:40:00.999+0000", AT),
        ("2026-11-23T11:40:00.000+0100", AT),
        ("2026-11-23T10:40:00", AT),
        ("2026-11-23T10:45:00.000+0000", AT + 300_000),
        # Nothing can be younger than its reading, but for a little of what clocks differ.
        ("2026-11-23T10:46:00.000+0000", AT + 360_000),
        ("2026-11-23T10:46:01.000+0000", None),
        ("9999-12-31T23:59:59.000+0000", None),
        ("1969-12-31T23:59:59.000+0000", None),
        ("0001-01-01T00:00:00.000+2359", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_modstamp_is_read_as_apex_writes_it_or_counts_as_unknown(
    text: str | None, modstamp: int | None
) -> None:
    assert Reading.of(header(AT + 300_000), text).modstamp == modstamp


def test_what_was_read_in_the_first_15_minutes_of_all_time_has_a_place_too() -> None:
    assert reading(0, None).order[0] == 0
    assert reading(1, 0).order[:2] == (0, -1)


@given(
    read_at=st.integers(0, 2**53 - 1),
    request_id=st.none() | st.integers(0, 2**53 - 1),
    total=st.none() | st.integers(0, 2**53 - 1),
    record=st.sampled_from(
        [
            {"new": {"Id": LEAD_ID, "SystemModstamp": datetime_of(AT), "Name": "half \ud83d"}},
            {"new": {"Id": LEAD_ID}},
            {"old": {"Id": LEAD_ID, "absent": "deleted"}},
        ]
    ),
)
def test_a_reading_leads_back_to_the_callout_that_it_came_with(
    read_at: int, request_id: int | None, total: int | None, record: dict[str, Any]
) -> None:
    body = callout(
        [record],
        operation="snapshot",
        captured_at=read_at,
        read_at=read_at,
        request_id=request_id,
        total=total,
    )
    # Escaped, as Apex writes half a surrogate pair.
    (change,) = received(json.dumps(body).encode())
    again = change.as_callout()

    contract.check(json_text.mask(again))
    told = contract.read(json_text.mask(again))
    sent = {**body, "actor_id": None}
    for name in contract.Header.__struct_fields__:
        assert getattr(told, name) == sent[name]
    (once_more,) = received(again)
    assert (
        msgspec.structs.replace(
            once_more, callout_id=change.callout_id, received_at=change.received_at
        )
        == change
    )
