from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.envelope import VERSION, Item, Kind, decode, encode
from pipeline.errors import PoisonError

ITEMS = st.lists(
    st.builds(
        Item,
        callout_id=st.text(max_size=40),
        received_at=st.integers(0, 2**53),
        masked=st.booleans(),
        body=st.binary(max_size=200),
        kind=st.sampled_from(Kind),
    ),
    max_size=6,
)


@given(ITEMS)
def test_what_is_encoded_decodes_to_the_same(items: list[Item]) -> None:
    assert decode(encode(items)) == items


@given(ITEMS.filter(bool), st.data())
def test_a_truncated_message_is_poison(items: list[Item], data: st.DataObject) -> None:
    message = encode(items)
    with pytest.raises(PoisonError, match="not an envelope"):
        decode(message[: data.draw(st.integers(0, len(message) - 1))])


@given(st.binary(max_size=100))
def test_any_bytes_either_decode_or_are_poison(junk: bytes) -> None:
    try:
        items = decode(junk)
    except PoisonError:
        return
    assert decode(encode(items)) == items


@pytest.mark.parametrize("version", [0, VERSION + 1])
def test_a_version_that_is_not_known_is_poison(version: int) -> None:
    with pytest.raises(PoisonError, match=f"version {version}"):
        decode(msgspec.msgpack.encode([version, []]))


@pytest.mark.parametrize(
    "content",
    [
        {"version": 1, "items": []},
        [1],
        [1, [["id", 1, False]]],
        [1, [["id", 1, False, "text"]]],
        [1, [[None, 1, False, b""]]],
        ["1", []],
    ],
)
def test_another_shape_is_poison(content: object) -> None:
    with pytest.raises(PoisonError):
        decode(msgspec.msgpack.encode(content))


def test_bytes_after_the_end_and_endless_nesting_are_poison() -> None:
    for message in (encode([]) + b"\x00", b"\x91" * 1_000_000):
        with pytest.raises(PoisonError):
            decode(message)


def test_an_item_may_grow_at_its_end() -> None:
    message = msgspec.msgpack.encode(
        [1, [["id", 7, False, b"{}", "changes", "of tomorrow"]], "as well"]
    )
    assert decode(message) == [Item("id", 7, masked=False, body=b"{}")]


def test_changes_are_encoded_as_ever_and_an_audit_says_what_it_is() -> None:
    changes = Item("id", 7, masked=True, body=b"{}")
    audit = Item("id", 8, masked=False, body=b"[]", kind=Kind.AUDIT)

    assert encode([changes]) == msgspec.msgpack.encode([1, [["id", 7, True, b"{}"]]])
    assert msgspec.msgpack.decode(encode([audit, changes])) == [
        1,
        [["id", 8, False, b"[]", "audit"], ["id", 7, True, b"{}"]],
    ]


def test_a_kind_that_is_not_known_is_poison() -> None:
    with pytest.raises(PoisonError):
        decode(msgspec.msgpack.encode([1, [["id", 7, False, b"{}", "of tomorrow"]]]))
