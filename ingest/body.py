"""Reading a request's body in bounded memory and time, inflating it here.

aiohttp would inflate as well, but hands over the start of a truncated gzip body as if it were
whole; so the server runs with `auto_decompress=False`.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final, Protocol

from aiohttp import web

from ingest.problems import bad_request, too_large, unavailable

_GZIP: Final = 16 + zlib.MAX_WBITS
# Apex sends one member. Members are cheap to send and dear to begin: 12 MB of empty ones would
# keep this process busy for seconds.
_MAX_FURTHER_MEMBERS: Final = 99


class Held(Protocol):
    """Counts the bytes that a request holds; raises a `Problem` when all hold too many."""

    def add(self, size_bytes: int) -> None:
        """Count `size_bytes` more."""


async def read_body(request: web.Request, *, max_bytes: int, timeout_s: float, held: Held) -> bytes:
    """Return the body as it was before compression.

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
        return b"".join(pieces)
    # Only now, and without a pause before the signature is checked: a stranger's slow request
    # must not park what a few bytes inflate to.
    inflater = _Inflater(max_bytes)
    body = b"".join([inflater.feed(piece) for piece in pieces])
    inflater.finish()
    held.add(len(body) - sum(map(len, pieces)))
    return body


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


class _Inflater:
    """Inflates gzip, several members included, up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._room_bytes = max_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._further_members = _MAX_FURTHER_MEMBERS

    def feed(self, chunk: bytes) -> bytes:
        pieces: list[bytes] = []
        while chunk:
            if self._member.eof:
                if self._further_members == 0:
                    raise bad_request("the gzip body has too many members")
                self._further_members -= 1
                self._member = zlib.decompressobj(_GZIP)
            try:
                # One byte more than there is room for tells "full" from "exactly fits".
                piece = self._member.decompress(chunk, self._room_bytes + 1)
            except zlib.error:
                raise bad_request("the body is not gzip") from None
            self._room_bytes -= len(piece)
            if self._room_bytes < 0:
                raise too_large(self._max_bytes)
            pieces.append(piece)
            chunk = self._member.unconsumed_tail or self._member.unused_data
        return b"".join(pieces)

    def finish(self) -> None:
        if not self._member.eof:
            raise bad_request("the gzip body is truncated")
