from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.admission import InFlight
from ingest.body import read_body
from ingest.problems import Problem
from tests.arrived import stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIMIT_BYTES = 1000
PLENTY_S = 30.0
GZIP = {"Content-Encoding": "gzip"}


class Arriving:
    """A body that arrives in chunks, one turn of the loop apart, and how it ends."""

    def __init__(
        self, chunks: Iterable[bytes], *, ends: bool = True, broken_by: Exception | None = None
    ) -> None:
        self._chunks = chunks
        self._ends = ends
        self._broken_by = broken_by
        self.content = stream()

    async def arrive(self) -> None:
        for chunk in self._chunks:
            self.content.feed_data(chunk)
            await asyncio.sleep(0)
        if self._broken_by is not None:
            self.content.set_exception(self._broken_by)
        elif self._ends:
            self.content.feed_eof()


async def received(
    body: Arriving | Iterable[bytes],
    headers: dict[str, str] | None = None,
    *,
    in_flight: InFlight | None = None,
    timeout_s: float = PLENTY_S,
) -> bytes:
    """Read a body while it arrives."""
    arriving = body if isinstance(body, Arriving) else Arriving(body)
    request = make_mocked_request("POST", "/", headers=headers or {}, payload=arriving.content)
    task = asyncio.create_task(arriving.arrive())
    try:
        with (in_flight or InFlight(10**9)).hold() as held:
            return (
                await read_body(request, max_bytes=LIMIT_BYTES, timeout_s=timeout_s, held=held)
            ).text
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut a body at places, which may be anywhere."""
    edges = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    return [body[start:end] for start, end in itertools.pairwise(edges)]


async def refused(
    status: int, chunks: Iterable[bytes], headers: dict[str, str] | None = None
) -> None:
    with pytest.raises(Problem) as problem:
        await received(chunks, headers)
    assert problem.value.status == status, problem.value.detail


BODIES = st.binary(max_size=LIMIT_BYTES)
PLACES = st.lists(st.integers(0, 5000), max_size=8)


@settings(max_examples=50)
@given(body=BODIES, places=PLACES)
async def test_a_body_comes_through_however_it_is_cut(body: bytes, places: list[int]) -> None:
    assert await received(cut(body, places)) == body


@settings(max_examples=50)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=3), places=PLACES)
async def test_gzip_of_several_members_comes_through_however_it_is_cut(
    parts: list[bytes], places: list[int]
) -> None:
    compressed = b"".join(map(gzip.compress, parts))
    if len(compressed) <= LIMIT_BYTES:
        assert await received(cut(compressed, places), GZIP) == b"".join(parts)


@settings(max_examples=50)
@given(body=BODIES, places=PLACES, end=st.integers(0, 10**6))
async def test_gzip_that_is_cut_off_is_refused(body: bytes, places: list[int], end: int) -> None:
    compressed = gzip.compress(body)
    await refused(400, cut(compressed[: end % len(compressed)], places), GZIP)


@settings(max_examples=50)
@given(junk=st.binary(min_size=1, max_size=200), places=PLACES)
async def test_what_is_no_gzip_is_refused_and_never_an_error_of_ours(
    junk: bytes, places: list[int]
) -> None:
    if not junk.startswith(b"\x1f\x8b"):
        await refused(400, cut(junk, places), GZIP)
    await refused(400, cut(gzip.compress(b"{}") + b"\x00" + junk, places), GZIP)


@pytest.mark.parametrize("encoding", ["gzip", "GZip", " gzip ", "identity", ""])
async def test_gzip_and_none_are_the_encodings(encoding: str) -> None:
    body = gzip.compress(b"{}") if "gzip" in encoding.lower() else b"{}"
    assert await received([body], {"Content-Encoding": encoding}) == b"{}"


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "gzip;q=1", "x"])
async def test_any_other_encoding_is_refused(encoding: str) -> None:
    await refused(400, [gzip.compress(b"{}")], {"Content-Encoding": encoding})


async def test_deflate_under_the_name_of_gzip_is_refused() -> None:
    await refused(400, [zlib.compress(b"{}")], GZIP)


async def test_an_empty_body_is_empty_and_an_empty_gzip_is_none() -> None:
    assert await received([]) == b""
    assert await received([gzip.compress(b"")], GZIP) == b""
    await refused(400, [], GZIP)


async def test_the_limit_is_exact_before_decompression() -> None:
    assert len(await received([b"x" * LIMIT_BYTES])) == LIMIT_BYTES
    assert len(await received([b"x"] * LIMIT_BYTES)) == LIMIT_BYTES
    await refused(413, [b"x" * LIMIT_BYTES, b"x"])
    await refused(413, [b"x" * (LIMIT_BYTES + 1)])


async def test_the_limit_is_exact_after_decompression() -> None:
    assert len(await received([gzip.compress(b"x" * LIMIT_BYTES)], GZIP)) == LIMIT_BYTES
    await refused(413, [gzip.compress(b"x" * (LIMIT_BYTES + 1))], GZIP)
    half = gzip.compress(b"x" * (LIMIT_BYTES // 2))
    assert len(await received([half + half], GZIP)) == LIMIT_BYTES
    assert len(await received([half + half + gzip.compress(b"")], GZIP)) == LIMIT_BYTES
    await refused(413, [half + half + gzip.compress(b"x")], GZIP)


async def test_gzip_that_is_itself_over_the_limit_is_refused() -> None:
    empty = gzip.compress(b"")
    await refused(413, [empty * (LIMIT_BYTES // len(empty) + 1)], GZIP)


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    def chunks() -> Iterable[bytes]:
        yield b""
        raise AssertionError("somebody reads on")

    await refused(413, chunks(), {"Content-Length": str(LIMIT_BYTES + 1)})


async def test_a_bomb_is_refused_while_it_is_small() -> None:
    bomb = gzip.compress(b"\0" * 500_000)
    assert len(bomb) < LIMIT_BYTES
    in_flight = InFlight(2 * LIMIT_BYTES)
    with pytest.raises(Problem) as problem:
        await received([bomb], GZIP, in_flight=in_flight)
    assert problem.value.status == 413
    assert in_flight.held_bytes == 0


async def test_what_is_inflated_is_what_is_counted_and_given_back() -> None:
    seen: list[int] = []

    class Watched(InFlight):
        def count(self, size_bytes: int) -> None:
            super().count(size_bytes)
            seen.append(self.held_bytes)

    in_flight = Watched(10 * LIMIT_BYTES)
    compressed = gzip.compress(b"x" * LIMIT_BYTES)
    await received([compressed], GZIP, in_flight=in_flight)
    assert max(seen) == len(compressed) + LIMIT_BYTES
    assert in_flight.held_bytes == 0


async def test_more_than_all_may_hold_is_refused_for_now_and_given_back() -> None:
    in_flight = InFlight(LIMIT_BYTES - 1)
    with pytest.raises(Problem) as problem:
        await received([b"x" * 600, b"x" * 400], in_flight=in_flight)
    assert problem.value.status == 503
    assert problem.value.retry_after_s
    assert in_flight.held_bytes == 0


async def test_a_body_that_never_ends_is_given_up() -> None:
    in_flight = InFlight(LIMIT_BYTES)
    with pytest.raises(Problem) as problem:
        await received(Arriving([b"{"], ends=False), timeout_s=0.01, in_flight=in_flight)
    assert problem.value.status == 503
    assert in_flight.held_bytes == 0


@pytest.mark.parametrize(
    "error", [ConnectionResetError("Connection lost"), web.RequestPayloadError("chunks")]
)
async def test_a_body_that_breaks_off_is_the_senders_fault(error: Exception) -> None:
    in_flight = InFlight(LIMIT_BYTES)
    with pytest.raises(Problem) as problem:
        await received(Arriving([b"{"], broken_by=error), in_flight=in_flight)
    assert problem.value.status == 400
    assert in_flight.held_bytes == 0


async def test_a_gzip_body_that_stalls_holds_only_what_was_sent() -> None:
    body = gzip.compress(b"\0" * LIMIT_BYTES)
    sent = body[:-1]
    most_held_bytes = 0

    class Watched(InFlight):
        def count(self, size_bytes: int) -> None:
            nonlocal most_held_bytes
            super().count(size_bytes)
            most_held_bytes = max(most_held_bytes, self.held_bytes)

    stalling = Arriving([sent[:10], sent[10:]], ends=False)
    in_flight = Watched(10 * LIMIT_BYTES)
    with pytest.raises(Problem) as problem:
        await received(stalling, GZIP, timeout_s=0.01, in_flight=in_flight)
    assert problem.value.status == 503
    assert most_held_bytes == len(sent) < LIMIT_BYTES
    assert in_flight.held_bytes == 0
