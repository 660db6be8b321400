"""Ids have Salesforce's form, and streams are independent."""

from __future__ import annotations

import re
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.sample.seeds import (
    KEY_PREFIXES,
    RecordIds,
    capture_id,
    object_of,
    random_stream,
    transaction_id,
)
from pipeline.objects import SObject, long_id

ORG_ID = "00D5g000004XyzAEAS"


@given(seed=st.integers(), sobject=st.sampled_from(SObject))
def test_an_id_has_prefix_instance_and_checksum(seed: int, sobject: SObject) -> None:
    record_id = RecordIds(ORG_ID, random_stream(seed)).draw(sobject)
    assert re.fullmatch(KEY_PREFIXES[sobject] + r"5g0[0-9A-Za-z]{9}[A-Z0-5]{3}", record_id)
    assert record_id == long_id(record_id[:15])
    assert object_of(record_id) is sobject


def test_ids_of_one_series_are_all_different_and_ascend() -> None:
    ids = RecordIds(ORG_ID, random_stream(1))
    drawn = [ids.draw(SObject.LEAD) for _ in range(500)]
    assert drawn == sorted(set(drawn))


def test_no_object_has_an_unknown_prefix() -> None:
    with pytest.raises(KeyError):
        object_of("500000000000000AAA")


def test_a_capture_id_is_a_random_uuid() -> None:
    drawn = UUID(capture_id(random_stream(1)))
    assert (drawn.version, drawn.variant) == (4, RFC_4122)


def test_a_transaction_id_has_the_form_of_a_request_id() -> None:
    assert re.fullmatch(r"4[\w-]{13}-", transaction_id(random_stream(1)), re.ASCII)


def test_a_stream_depends_on_its_parts_alone() -> None:
    assert random_stream(1, "a").random() == random_stream(1, "a").random()
    assert random_stream(1, "a").random() != random_stream(1, "b").random()


def test_the_first_draw_is_the_same_on_every_machine() -> None:
    assert random_stream(1, "a").getrandbits(32) == 2_955_472_016
