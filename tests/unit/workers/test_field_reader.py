"""Rules make the same of the few fields that are read as of the whole record."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.change import Change
from pipeline.json_text import decode_fields, mask
from pipeline.objects import Operation, SObject
from rules import Moment, States
from workers.field_reader import FieldReader

if TYPE_CHECKING:
    from pipeline.change import Fields

NAMES = ("Status", "Rating", "AnnualRevenue")
WITH_OLD = ("Status", "AnnualRevenue")
SPELLINGS = ("Status", "status", "STATUS", "Rating", "rating", "AnnualRevenue", "Type", "Id")
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(['"status":', "\ud83d", "\x00", "\x1a", "a\\u0073"]),
    st.dictionaries(st.sampled_from(SPELLINGS), st.text(max_size=3), max_size=2),
)
members = st.lists(st.tuples(st.sampled_from(SPELLINGS), values), max_size=8)


def written(pairs: list[tuple[str, object]], *, escaped: bool = False) -> bytes:
    """Return the JSON of members, which may repeat; `escaped` spells out the letters of names."""
    texts = []
    for name, value in pairs:
        key = "".join(f"\\u{ord(letter):04x}" for letter in name) if escaped else name
        encoded = str(value) if isinstance(value, Decimal) else json.dumps(value)
        texts.append(f'"{key}": {encoded}')
    return ("{" + ", ".join(texts) + "}").encode()


def current(reader: FieldReader, text: bytes) -> Fields:
    """Return what is read of a record that is inserted."""
    _, new = reader.read(None, text)
    assert new is not None
    return new


def states(old: Fields | None, new: Fields | None) -> States:
    change = Change(
        "", SObject.LEAD, Operation.UPDATE, "", "", "", 0, 0, actor_id=None, old=old, new=new
    )
    return States(change, Moment(0))


@given(st.lists(st.tuples(members, members, st.booleans()), min_size=1, max_size=4))
def test_what_rules_see_is_what_they_see_of_the_whole_records(
    changes: list[tuple[list[tuple[str, object]], list[tuple[str, object]], bool]],
) -> None:
    reader = FieldReader(NAMES, WITH_OLD)
    # The reader learns from each record how the next one may be spelled.
    for old, new, escaped in changes:
        texts = [written(side, escaped=escaped) for side in (old, new)]
        read = states(*reader.read(*texts))
        whole = states(*(decode_fields(mask(text)) for text in texts))
        for name in NAMES:
            assert read.current.get(read.key(name)) == whole.current.get(whole.key(name))
        for name in WITH_OLD:
            assert read.previous.get(read.key(name)) == whole.previous.get(whole.key(name))


def test_other_fields_are_not_decoded() -> None:
    reader = FieldReader(NAMES, NAMES)
    assert current(reader, b'{"Id": "x", "Status": "Open", "Rating": null}') == {
        "Status": "Open",
        "Rating": None,
    }


@pytest.mark.parametrize("digits", ["1.10", "123456789012345678901234567890", "1e400", "9" * 5_000])
def test_numbers_keep_every_digit(digits: str) -> None:
    found = current(FieldReader(NAMES, NAMES), b'{"AnnualRevenue": %s}' % digits.encode())[
        "AnnualRevenue"
    ]
    assert found == Decimal(digits)


@pytest.mark.parametrize("digits", ["1e9999999999999999999", "9" * 5_000])
def test_a_number_beyond_all_bounds_is_read_in_another_spelling_too(digits: str) -> None:
    text = b'{"annualrevenue": %s}' % digits.encode()
    assert current(FieldReader(NAMES, NAMES), text) == decode_fields(text)


def test_a_field_that_rules_spell_otherwise_is_learnt_and_told_from_others() -> None:
    reader = FieldReader(["status"], [])
    for text in (b'{"Status": "a"}', b'{"Status": "b"}', b'{"X": {"Status": 1}, "Status": "b"}'):
        assert current(reader, text)["Status"] == msgspec.json.decode(text)["Status"]
    # Learnt, but not there; and there twice.
    assert "Status" not in current(reader, b'{"Other": "status"}')
    twice = current(reader, b'{"STATUS": 1, "Status": 2}')
    assert list(twice) == ["STATUS", "Status"]


@pytest.mark.parametrize("text", [b"[]", b"{", b"1"])
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        current(FieldReader(NAMES, NAMES), text)
