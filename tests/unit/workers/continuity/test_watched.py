"""Which fields count, and since when."""

from __future__ import annotations

import pytest

from pipeline.objects import SObject
from workers.continuity.watched import WatchedFields, since_when

LEAD = SObject.LEAD


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], ({}, 0)),
        ([(5, {})], (None, 5)),
        ([(5, {"Lead": []})], (None, 5)),
        ([(5, {"Account": ["Name"]})], ({}, 0)),
        ([(5, {"Lead": ["Status"]})], ({"Status": 5}, 0)),
        (
            [(9, {"Lead": ["Status", "Rating"]}), (5, {"Lead": ["status"]})],
            ({"Status": 5, "Rating": 9}, 0),
        ),
        # All fields were watched before, so these were.
        ([(9, {"Lead": ["Status"]}), (5, {})], ({"Status": 5}, 0)),
        ([(9, {"Lead": ["Status"]}), (7, {"Lead": ["Rating"]}), (5, {})], ({"Status": 9}, 0)),
        ([(9, {}), (7, {"Lead": ["Rating"]}), (5, {})], (None, 9)),
        ([(9, {}), (7, {"Lead": []}), (5, {"Task": []})], (None, 7)),
    ],
)
def test_a_field_counts_since_it_has_been_watched_without_a_break(
    spans: list[tuple[int, dict[str, list[str]]]], expected: tuple[dict[str, int] | None, int]
) -> None:
    assert since_when(spans, LEAD) == expected


def test_a_field_counts_against_states_that_are_no_older() -> None:
    fields = WatchedFields({"Status": 5}, 0, ())
    assert [fields.counts(name, 5) for name in ("Status", "STATUS", "Rating")] == [
        True,
        True,
        False,
    ]
    assert not fields.counts("Status", 4)


def test_system_dates_and_calculated_fields_never_count() -> None:
    names = ("SystemModstamp", "lastmodifieddate", "Score__c", "score__C", "Status")
    everything = WatchedFields(None, 0, ["Score__c"])
    listed = WatchedFields(dict.fromkeys(names, 0), 0, ["Score__c"])
    for fields in (everything, listed):
        assert [name for name in names if fields.counts(name, 1)] == ["Status"]


def test_a_records_own_spelling_is_learnt() -> None:
    fields = WatchedFields({"status": 0, "rating": 0}, 0, ())
    text = b'{"Status":"Open","Rating":"Hot","Other":1}'
    nothing = fields.digest(b"{}")
    assert fields.digest(text) == nothing
    fields.learn(b'{"Status":null}')
    status = fields.digest(text)
    assert status not in {nothing, None}
    fields.learn(b"no record")
    fields.learn(text)
    assert fields.digest(text) not in {nothing, status, None}


def test_a_digest_is_of_the_fields_that_may_count() -> None:
    one = b'{"Id":"00Q","Status":"Open","Score__c":5,"SystemModstamp":"now","attributes":{}}'
    other = b'{"Status":"Open","Score__c":6,"SystemModstamp":"then"}'
    everything = WatchedFields(None, 0, ["Score__c"])
    listed = WatchedFields({"Status": 0}, 0, ())
    for fields in (everything, listed):
        assert fields.digest(one) == fields.digest(other) is not None
        assert fields.digest(one) != fields.digest(other.replace(b"Open", b"Lost"))
        assert fields.digest(b"[1]") is None
