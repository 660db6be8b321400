from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gzip_text import GzipError, Inflater, InflatesTooLargeError, inflate


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_members_inflate_to_their_texts_one_after_the_other(texts: list[bytes]) -> None:
    whole = b"".join(texts)
    assert inflate(b"".join(map(gzip.compress, texts)), len(whole)) == whole


@given(st.binary(max_size=300), st.data())
def test_a_start_is_never_taken_for_the_whole(text: bytes, data: st.DataObject) -> None:
    gzipped = gzip.compress(text)
    with pytest.raises(GzipError):
        inflate(gzipped[: data.draw(st.integers(0, len(gzipped) - 1))], len(text))


def test_more_than_there_is_room_for_is_never_made() -> None:
    with pytest.raises(InflatesTooLargeError):
        Inflater(1000).feed(gzip.compress(b"x" * 10_000_000))
    with pytest.raises(GzipError, match="longer"):
        inflate(gzip.compress(b"x" * 10_000_000), 1000)


def test_empty_members_without_end_are_refused() -> None:
    with pytest.raises(GzipError, match="members"):
        inflate(gzip.compress(b"") * 200, 10)
