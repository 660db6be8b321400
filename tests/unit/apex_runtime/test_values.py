"""Values: ids, copies, heap."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apex_runtime.objects import PlatformClass
from tests.apex_runtime.types import OBJECT, STRING
from tests.apex_runtime.values import (
    ApexList,
    ApexMap,
    ApexObject,
    ApexSet,
    ApexThrown,
    Id,
    Long,
    NotModelled,
    SObject,
    deep_copy,
    heap_bytes,
    throw,
)


def test_an_id_of_15_characters_is_extended() -> None:
    assert Id("00Q5g00000HotLd") == "00Q5g00000HotLdEAJ"
    assert Id.valid("00Q5g00000HotLd")
    assert Id.valid("00Q5g00000HotLdEAJ")
    assert not Id.valid("00Q5g00000HotLdEAA")
    assert not Id.valid("00Q5g00000HotL")
    assert not Id.valid("00Q5g00000HotL-")


@given(st.text(string.ascii_letters + string.digits, min_size=15, max_size=15))
def test_ids_that_differ_in_case_only_differ_in_their_long_form(short: str) -> None:
    assert Id.valid(Id(short))
    assert (Id(short).lower() == Id(short.swapcase()).lower()) == (short == short.swapcase())


def test_keys_that_python_confuses_are_kept_apart() -> None:
    keys = ApexMap(OBJECT, STRING)
    for key in (1, True, 1.0):
        keys.put(key, str(key))
    assert list(keys.items()) == [(1, "1"), (True, "True"), (1.0, "1.0")]
    assert 1 in ApexSet(OBJECT, [Long(1)])
    assert False not in ApexSet(OBJECT, [0])


def test_a_copy_keeps_what_is_shared_and_drops_what_is_transient() -> None:
    cls = PlatformClass("Job", transient=frozenset({"gone"}))
    row = SObject("Lead", {"LastName": "x"}, read_only=True)
    job = ApexObject(cls, {"gone": 1, "rows": ApexList(OBJECT, [row, row])})
    job.fields["self"] = job
    copied = deep_copy(job)
    assert isinstance(copied, ApexObject)
    assert copied is not job
    assert copied.fields["self"] is copied
    assert copied.fields["gone"] is None
    rows = copied.fields["rows"]
    assert isinstance(rows, ApexList)
    assert rows[0] is rows[1]
    assert rows[0] == row
    assert rows[0] is not row
    assert isinstance(rows[0], SObject)
    assert not rows[0].read_only


def test_the_heap_counts_what_is_shared_once() -> None:
    text = "x" * 1000
    one = heap_bytes(ApexList(STRING, [text]))
    assert 1000 < one < 1100
    assert heap_bytes(ApexList(STRING, [text, text])) < one + 100
    assert heap_bytes("é" * 1000) > 2000


def test_throw_makes_an_exception_that_apex_can_catch() -> None:
    with pytest.raises(ApexThrown) as caught:
        throw("System.QueryException", "no rows")
    assert caught.value.type_name == "QueryException"
    assert caught.value.message == "no rows"
    assert caught.value.value.cls.is_a("exception")
    with pytest.raises(NotModelled, match="exception class Nonsense"):
        throw("Nonsense", "x")
