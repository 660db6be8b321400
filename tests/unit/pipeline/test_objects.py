from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.objects import is_salesforce_id, long_id

IDS = st.from_regex(r"\A[a-zA-Z0-9]{15}\Z")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("000000000000000", "000000000000000AAA"),
        ("0000A0000A0000A", "0000A0000A0000AQQQ"),
        ("AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAA555"),
        ("aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaAAA"),
        ("A00000A00000A00", "A00000A00000A00BCE"),
        ("0AAAA0AAAA0AAAA", "0AAAA0AAAA0AAAA444"),
        # A user and an account, as Salesforce's own documentation of the algorithm prints them.
        ("005A0000001234B", "005A0000001234BIAQ"),
    ],
)
def test_the_suffix_is_a_map_of_the_capitals(short: str, long: str) -> None:
    assert long_id(short) == long


@given(IDS)
def test_the_long_form_starts_with_the_short_one_and_is_stable(short: str) -> None:
    long = long_id(short)
    assert long[:15] == short
    assert is_salesforce_id(long)
    assert long_id(long) == long


@given(IDS, IDS)
def test_ids_that_differ_only_in_case_differ_in_their_long_forms(one: str, other: str) -> None:
    if one != other:
        assert long_id(one).lower() != long_id(other).lower()
    assert (long_id(one).lower() == long_id(one.swapcase()).lower()) == (one == one.swapcase())


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("00Q5g00000HotLd", True),
        ("00Q5g00000HotLdEAJ", True),
        ("00Q5g00000HotL", False),
        ("00Q5g00000HotLdE", False),
        ("00Q5g00000HotLdEAJ\n", False),
        ("00Q5g00000HotL-", False),
        ("00Q5g00000HotL\N{ARABIC-INDIC DIGIT ONE}", False),
        ("", False),
    ],
)
def test_an_id_has_15_or_18_letters_and_digits(text: str, *, verdict: bool) -> None:
    assert is_salesforce_id(text) is verdict
