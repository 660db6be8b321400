"""Inflating gzip in bounded memory, to its very end.

The standard library's own calls take the start of a truncated stream for the whole, or inflate
whatever it takes.
"""

from __future__ import annotations

import zlib
from typing import Final

_GZIP: Final = 16 + zlib.MAX_WBITS
# Apex sends one member. Members are cheap to send and dear to begin: 12 MB of empty ones would
# keep this process busy for seconds.
_MAX_FURTHER_MEMBERS: Final = 99


class GzipError(ValueError):
    """What is no gzip, not all of it, or in too many pieces."""


class InflatesTooLargeError(ValueError):
    """Gzip of more than there is room for."""


class Inflater:
    """Inflates gzip, several members included, up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._room_bytes = max_bytes
        self._member = zlib.decompressobj(_GZIP)
        self._further_members = _MAX_FURTHER_MEMBERS

    def feed(self, chunk: bytes) -> bytes:
        """Return what a further piece inflates to.

        Raises:
            GzipError: it is no gzip, or has too many members.
            InflatesTooLargeError: together with what came before it is over the limit.
        """
        pieces: list[bytes] = []
        while chunk:
            if self._member.eof:
                if self._further_members == 0:
                    raise GzipError("has too many members")
                self._further_members -= 1
                self._member = zlib.decompressobj(_GZIP)
            try:
                # One byte more than there is room for tells "full" from "exactly fits".
                piece = self._member.decompress(chunk, self._room_bytes + 1)
            except zlib.error:
                raise GzipError("is not gzip") from None
            self._room_bytes -= len(piece)
            if self._room_bytes < 0:
                raise InflatesTooLargeError
            pieces.append(piece)
            chunk = self._member.unconsumed_tail or self._member.unused_data
        return b"".join(pieces)

    def finish(self) -> None:
        """Say that no more comes.

        Raises:
            GzipError: more should have come.
        """
        if not self._member.eof:
            raise GzipError("is truncated")


def inflate(gzipped: bytes, size_bytes: int) -> bytes:
    """Inflate what is known to be `size_bytes` of text.

    Raises:
        GzipError: it is not.
    """
    inflater = Inflater(size_bytes)
    try:
        text = inflater.feed(gzipped)
    except InflatesTooLargeError:
        raise GzipError("is longer than it was said to be") from None
    inflater.finish()
    if len(text) < size_bytes:
        raise GzipError("is shorter than it was said to be")
    return text
