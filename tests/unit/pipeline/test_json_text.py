from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import json_text
from pipeline.json_text import (
    MAX_DEPTH,
    decode_fields,
    encode_masked,
    is_too_deep,
    mask,
    require_utf8,
    unmask,
    unmask_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Pieces of the inside of a JSON string, each as Apex could write it, with what trips a scanner in
# front: backslashes, quotes, brackets, and every kind of escape that JSONB refuses.
PIECES = st.sampled_from(
    [
        r"\\", r"\"", r"\n", r"\/", r"\u0000", r"\u001a", r"\u001A", "001a", "0000", "u0000",
        r"\ud83d", r"\uDE00", r"\ud83d\ude00", r"\uD83D", r"\udbff", r"\udfff", r"\ue000",
        r"\u0041", r"\u0019", "[", "]", "{", "}", "x", "é", "😀", "\x7f", "1a", "d83d",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map(lambda pieces: f'"{"".join(pieces)}"')
NUMBERS = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str).map(str.lower),
    st.sampled_from(["-0", "0.10", "1e2", "1E+400", "12345678901234567890.1234567890", "9" * 400]),
)
LITERALS = st.sampled_from(["true", "false", "null"])


def _array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def _members(members: list[tuple[str, str]]) -> str:
    # Keys are made different, since parsers disagree about which of two equal ones counts.
    inner = ", ".join(f'"{place}{key[1:]} : {value}' for place, (key, value) in enumerate(members))
    return f"{{{inner}}}"


VALUES = st.recursive(
    st.one_of(TEXTS, NUMBERS, LITERALS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(_array),
        st.lists(st.tuples(TEXTS, inner), max_size=4).map(_members),
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.tuples(TEXTS, VALUES), max_size=6).map(_members)


def by_the_standard_library(text: str) -> Any:  # noqa: ANN401  whatever the JSON holds
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


@given(OBJECTS)
@example(r'{"a": "\ud83d\ud83d\ude00"}')
@example(r'{"a": "\\\u0000\\u0000"}')
@example(r'{"a": "\u001a001a\u001A"}')
def test_what_is_masked_comes_back_to_the_byte(text: str) -> None:
    assert unmask(mask(text.encode())) == text.encode()


@given(OBJECTS)
def test_masked_text_is_json_that_a_strict_parser_and_jsonb_take(text: str) -> None:
    masked = mask(text.encode())
    for string in _strings_of(json.loads(masked)):
        assert "\x00" not in string
        string.encode()
    _strict(masked)


@given(OBJECTS)
def test_decoding_masked_text_gives_what_the_original_says_digits_kept(text: str) -> None:
    assert decode_fields(mask(text.encode())) == by_the_standard_library(text)


@given(OBJECTS)
def test_encoding_masked_and_decoding_gives_the_value_back(text: str) -> None:
    value = by_the_standard_library(text)
    encoded = encode_masked(value)
    assert decode_fields(encoded.encode()) == value
    assert unmask_value(by_the_standard_library(encoded)) == value


@pytest.mark.parametrize("text", [b'{"a":"plain"}', b'{"a":"\\n\\u0041"}', '{"a":"😀"}'.encode()])
def test_ordinary_text_passes_through_untouched(text: bytes) -> None:
    assert mask(text) is text
    assert unmask(text) is text


def test_a_pair_of_surrogates_is_a_character_and_stays() -> None:
    text = rb'{"a":"\ud83d\ude00"}'
    assert mask(text) == text


@given(st.binary(max_size=60).map(lambda junk: junk.replace(b"A", b"\\u001a")))
@example(b"\\")
@example(b"\\u00")
@example(b'"\\ud83')
def test_what_is_no_json_is_masked_without_an_error_and_stays_none(junk: bytes) -> None:
    if not _is_json(junk):
        assert not _is_json(mask(junk))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":12345678901234567890123}', 12345678901234567890123),
        (b'{"a":1.10}', Decimal("1.10")),
        (b'{"a":1e400}', Decimal("1e400")),
        (b'{"a":' + b"7" * 5000 + b"}", Decimal("7" * 5000)),
        (b'{"a":1e99999999999999999999}', "1e99999999999999999999"),
    ],
)
def test_numbers_keep_every_digit(text: bytes, expected: object) -> None:
    value = decode_fields(text)["a"]
    assert value == expected
    assert str(value) == str(expected)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[1]", b'"a"', b"null", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1',
        b'{"a":"\x00"}', b'{"a":"\xed\xa0\x80"}', '{"a":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_fields(text)


BYTES = st.lists(
    st.sampled_from([b"a", "ß".encode(), "€".encode(), "😀".encode(), b"\xc3", b"\xa9", b"\xff"])
).map(b"".join)


@given(BYTES | st.binary(), st.integers(1, 5))
def test_utf8_is_checked_piece_by_piece_as_it_is_decoded_at_once(text: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "_UTF8_PIECE_BYTES", size)
        assert _invalid_at(require_utf8, text) == _invalid_at(bytes.decode, text)


def _invalid_at(check: Callable[[bytes], object], text: bytes) -> int | None:
    try:
        check(text)
    except UnicodeDecodeError as error:
        return error.start
    return None


SKELETONS = st.text(alphabet='[]{}"\\,:x ', max_size=40)


@given(value=VALUES, levels=st.integers(MAX_DEPTH - 8, MAX_DEPTH + 2), objects=st.booleans())
def test_depth_agrees_with_a_count_by_hand(value: str, levels: int, *, objects: bool) -> None:
    opening, closing = ('{"[":', "}") if objects else ("[", "]")
    text = opening * levels + value + closing * levels
    assert is_too_deep(text.encode()) == (_depth(json.loads(text)) > MAX_DEPTH)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("[" * 100 + "]" * 100, False),
        ("[" * 101 + "]" * 101, True),
        ('[{"a":' * 50 + "1" + "}]" * 50, False),
        ('[{"a":' * 51 + "1" + "}]" * 51, True),
        ('"' + "[" * 1000 + '"', False),
        (r'["\"' + "[" * 1000 + '"]', False),
        ('["\\\\",' + "[" * 100 + "]" * 100 + "]", True),
        ('["",""]' * 3, False),
        ("[]," * 1000, False),
    ],
)
def test_only_brackets_outside_strings_count(text: str, *, verdict: bool) -> None:
    assert is_too_deep(text.encode()) is verdict


@given(SKELETONS)
def test_any_bytes_have_a_depth(text: str) -> None:
    assert is_too_deep(text.encode()) is False


def _strings_of(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [string for item in value for string in _strings_of(item)]
    if isinstance(value, dict):
        return [s for key, item in value.items() for s in (key, *_strings_of(item))]
    return []


def _depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 0


def _strict(text: bytes) -> None:
    """Read the text as ingest and the workers do: their parser refuses half a surrogate pair."""
    msgspec.json.decode(text, type=msgspec.Raw)
    msgspec.json.decode(text, type=_Nothing)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode(), parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


class _Nothing(msgspec.Struct):
    """Knows no key, so that every value is skipped."""
