"""Reading a request's body in bounded memory and time, inflating it here.

aiohttp would inflate as well, but hands over the start of a truncated gzip body as if it were
whole; so the server runs with `auto_decompress=False`. What came compressed goes on to the broker
as it came.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from aiohttp import web

from ingest.problems import bad_request, too_large, unavailable
from pipeline.gzip_text import GzipError, Inflater, InflatesTooLargeError


class Body(NamedTuple):
    """A request's text, and the gzip that it came as, if it did."""

    text: bytes
    gzipped: bytes | None


class Held(Protocol):
    """Counts the bytes that a request holds; raises a `Problem` when all hold too many."""

    def add(self, size_bytes: int) -> None:
        """Count `size_bytes` more."""


async def read_body(request: web.Request, *, max_bytes: int, timeout_s: float, held: Held) -> Body:
    """Return the body as it came, and as it was before compression.

    Raises:
        Problem: 413 over the limit before or after decompression, 400 not whole gzip, 503 too
            slow or too much held already.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity", ""):
        raise bad_request("Content-Encoding must be gzip or absent")
    if request.content_length is not None and request.content_length > max_bytes:
        raise too_large(max_bytes)
    try:
        if request.content.is_eof():
            # All of it came with the headers, as a single record's does: no need to wait for more.
            pieces = [request.content.read_nowait()]
            if len(pieces[0]) > max_bytes:
                raise too_large(max_bytes)
            held.add(len(pieces[0]))
        else:
            async with asyncio.timeout(timeout_s):
                pieces = await _pieces(request, max_bytes, held)
    except (web.RequestPayloadError, ConnectionResetError):
        # A client that left in the middle of its body reads no answer, and is no fault of ours.
        raise bad_request("the body does not arrive as its headers say") from None
    except TimeoutError:
        raise unavailable("the body came too slowly") from None
    if encoding != "gzip":
        return Body(b"".join(pieces), None)
    # Only now, and without a pause before the signature is checked: a stranger's slow request
    # must not park what a few bytes inflate to.
    text = _inflate(pieces, max_bytes)
    held.add(len(text))
    return Body(text, b"".join(pieces))


async def _pieces(request: web.Request, max_bytes: int, held: Held) -> list[bytes]:
    pieces: list[bytes] = []
    size_bytes = 0
    async for chunk in request.content.iter_any():
        size_bytes += len(chunk)
        if size_bytes > max_bytes:
            raise too_large(max_bytes)
        held.add(len(chunk))
        pieces.append(chunk)
    return pieces


def _inflate(pieces: list[bytes], max_bytes: int) -> bytes:
    inflater = Inflater(max_bytes)
    try:
        text = b"".join([inflater.feed(piece) for piece in pieces])
        inflater.finish()
    except InflatesTooLargeError:
        raise too_large(max_bytes) from None
    except GzipError as error:
        raise bad_request(f"the gzip body {error}") from None
    return text
