from __future__ import annotations

import gzip

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import json_text
from pipeline.envelope import (
    MAX_INFLATION,
    MAX_VERSION,
    VERSION,
    Item,
    Kind,
    NewerEnvelope,
    decode,
    encode,
)
from pipeline.errors import Kind as ErrorKind
from pipeline.errors import PoisonError, classify
from pipeline.gzip_text import GzipError
from pipeline.topology import MAX_MESSAGE_BYTES

ITEMS = st.lists(
    st.builds(
        Item,
        callout_id=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40),
        received_at=st.integers(0, 2**53 - 1),
        masked=st.booleans(),
        body=st.binary(max_size=200),
        kind=st.sampled_from(Kind),
        inflated_bytes=st.integers(0, MAX_INFLATION * MAX_MESSAGE_BYTES),
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


@pytest.mark.parametrize(
    "item",
    [
        ("msg_1", 2**63, False, b"{}"),
        ("msg_1", -1, False, b"{}"),
        ("msg\x00", 1, False, b"{}"),
        ("é", 1, False, b"{}"),
        ("m" * 256, 1, False, b"{}"),
        ("msg_1", 1, False, b"{}", "changes", -1),
        ("msg_1", 1, False, b"{}", "changes", 2**63),
    ],
)
def test_what_no_ingest_publishes_and_no_worker_could_store_is_poison(
    item: tuple[object, ...],
) -> None:
    with pytest.raises(PoisonError, match="not an envelope"):
        decode(msgspec.msgpack.encode([VERSION, [item]]))


def test_text_that_is_not_utf8_is_poison() -> None:
    message = msgspec.msgpack.encode([VERSION, [("msg_1", 1, False, b"{}")]])
    with pytest.raises(PoisonError, match="not an envelope"):
        decode(message.replace(b"msg_1", b"msg_\xff"))


@pytest.mark.parametrize("version", [-1, 0, MAX_VERSION + 1, 2**63])
def test_a_version_that_never_was_is_poison(version: int) -> None:
    with pytest.raises(PoisonError):
        decode(msgspec.msgpack.encode([version, []]))


@pytest.mark.parametrize("rest", [[[]], [[["id", 1]]], [{"by": "name"}, 7], []])
def test_a_later_version_is_for_a_newer_worker_whatever_it_looks_like(rest: list[object]) -> None:
    with pytest.raises(NewerEnvelope, match=f"version {VERSION + 1} is newer than {VERSION}"):
        decode(msgspec.msgpack.encode([VERSION + 1, *rest]))
    assert classify(NewerEnvelope(VERSION + 1)) is ErrorKind.TRANSIENT


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
        [1, [["id", 7, False, b"{}", "changes", 0, "of tomorrow"]], "as well"]
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


@given(st.text(max_size=200), st.booleans())
def test_gzip_says_what_it_inflates_to(text: str, masked: bool) -> None:  # noqa: FBT001  hypothesis gives it
    body = text.encode()
    if not body:
        return
    item = Item("id", 7, masked, gzip.compress(body), inflated_bytes=len(body))
    (read,) = decode(encode([item]))
    assert read.text() == (json_text.mask(body) if masked else body)


def test_gzip_is_masked_once_it_is_inflated() -> None:
    body = rb'{"Name": "\u0000"}'
    item = Item("id", 7, masked=True, body=gzip.compress(body), inflated_bytes=len(body))
    assert item.text() == rb'{"Name": "\u001a0000"}'


@pytest.mark.parametrize("said", [1, 3, 100])
def test_gzip_of_another_size_than_was_said_is_refused(said: int) -> None:
    item = Item("id", 7, masked=False, body=gzip.compress(b"{}"), inflated_bytes=said)
    with pytest.raises(GzipError, match="than it was said to be"):
        item.text()


def test_what_inflates_beyond_all_measure_weighs_more_than_its_bytes() -> None:
    assert Item("id", 7, masked=False, body=b"x" * 10).weight_bytes == 10
    assert Item("id", 7, masked=False, body=b"x" * 10, inflated_bytes=100).weight_bytes == 10
    heavy = Item("id", 7, masked=False, body=b"x" * 10, inflated_bytes=1600)
    assert heavy.weight_bytes == 100
