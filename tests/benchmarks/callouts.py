"""Callouts as the Salesforce package makes them, compressed and signed before anything is measured.

A file holds whole HTTP requests, each behind its length (4 bytes, big-endian): a sender has nothing
to do but send. What is new each time a callout is sent is compressed anew, its changes only once.
"""

from __future__ import annotations

import itertools
import struct
import time
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from ops.sample.timeline import Run
from pipeline.signing import signed_headers
from tests.benchmarks import mixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from ops.sample.capture import Capture
    from ops.sample.records import SampleOrg

BULK_SIZE: Final = 200
LEAD_COUNT: Final = 1000
_LENGTH: Final = struct.Struct(">I")
# RFC 1952: the magic number, deflate, no flags, no time, no system. Then, at the end, CRC and size.
_GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_GZIP_TRAILER: Final = struct.Struct("<II")
# A signature is good for five minutes before and after: so one made ahead lasts longest.
_SIGNED_AHEAD_S: Final = 240
_CAPTURED_WITHIN_MS: Final = 3_000_000
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


class Shape(StrEnum):
    """What arrives: single edits, mass updates of `BULK_SIZE` records, or an org's day."""

    EDITS = "edits"
    BULK = "bulk"
    MIXED = "mixed"


class Packed(NamedTuple):
    """A callout that can be sent again and again, each time as another capture.

    `deflated_changes` is the end of a deflate stream that another header may begin.
    """

    header: dict[str, Any]
    changes: bytes
    deflated_changes: bytes
    change_count: int


class Prepared(NamedTuple):
    """A file of requests, and what they bring."""

    path: Path
    callout_count: int
    change_count: int


def captures(org: SampleOrg, shape: Shape, change_count: int) -> Iterator[Capture]:
    """Yield captures of at least so many changes."""
    run = Run(0)
    match shape:
        case Shape.EDITS:
            return org.edits(change_count, run, lead_count=LEAD_COUNT)
        case Shape.BULK:
            callout_count = -(-change_count // BULK_SIZE)
            return org.bulk(callout_count, BULK_SIZE, run, lead_count=LEAD_COUNT)
        case Shape.MIXED:
            return mixed.captures(org, run, change_count)


def pack(org: SampleOrg, shape: Shape, change_count: int) -> list[Packed]:
    """Return callouts that can be prepared as often as is wanted."""
    packed: list[Packed] = []
    for capture in captures(org, shape, change_count):
        header = {name: getattr(capture, name) for name in capture.__struct_fields__[:-1]}
        packed.append(pack_one(header, capture.changes))
    return packed


def pack_one(header: dict[str, Any], changes: Sequence[object]) -> Packed:
    """Return the callout of a header, which is the contract's but for its changes."""
    text = _encoder.encode(changes) + b"}"
    return Packed(header, text, _deflated(text, zlib.Z_FINISH), len(changes))


def prepare(path: Path, packed: Sequence[Packed], change_count: int, secret: str) -> Prepared:
    """Write the requests of `change_count` changes of the last hour, and no more, to a file."""
    anew = _anew(packed, change_count)
    return write(path, (one._replace(header=header) for one, header in anew), secret)


def write(path: Path, packed: Iterable[Packed], secret: str) -> Prepared:
    """Write the requests of callouts, as they are, to a file."""
    change_count = callout_count = 0
    with path.open("wb") as file:
        for callout in packed:
            request = _request(callout, f"bench-{callout_count}", secret)
            file.write(_LENGTH.pack(len(request)) + request)
            change_count += callout.change_count
            callout_count += 1
    return Prepared(path, callout_count, change_count)


def read(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    with path.open("rb") as file:
        return [file.read(*_LENGTH.unpack(head)) for head in iter(lambda: file.read(4), b"")]


def bodies(packed: Sequence[Packed], change_count: int) -> Iterator[bytes]:
    """Yield the JSON of callouts of the last hour that bring `change_count` changes, or fewer."""
    for callout, header in _anew(packed, change_count):
        yield _head(header) + callout.changes


def place_of(capture_id: str) -> int:
    """Return the place, from 0, of a capture's callout among those that were prepared with it."""
    return int(capture_id.rpartition("-")[2])


def _anew(packed: Sequence[Packed], change_count: int) -> Iterator[tuple[Packed, dict[str, Any]]]:
    """Yield callouts, again and again, each with the header of a capture that never was before."""
    start_ms = int(time.time() * 1000) - _CAPTURED_WITHIN_MS
    salt = time.time_ns()
    yielded = 0
    for number, callout in enumerate(itertools.cycle(packed)):
        yielded += callout.change_count
        if yielded > change_count:
            return
        at_ms = start_ms + _CAPTURED_WITHIN_MS * yielded // change_count
        yield callout, callout.header | {"capture_id": f"{salt:x}-{number}", "captured_at": at_ms}


def _head(header: dict[str, Any]) -> bytes:
    return _encoder.encode(header)[:-1] + b',"changes":'


def _deflated(text: bytes, flush: int) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(text) + deflater.flush(flush)


def _gzipped(head: bytes, callout: Packed) -> bytes:
    """Return a body as one gzip member, as Apex sends it, without compressing its records again."""
    size = len(head) + len(callout.changes)
    checksum = zlib.crc32(callout.changes, zlib.crc32(head))
    return b"".join(
        (
            _GZIP_HEADER,
            _deflated(head, zlib.Z_FULL_FLUSH),
            callout.deflated_changes,
            _GZIP_TRAILER.pack(checksum, size),
        )
    )


def _request(callout: Packed, message_id: str, secret: str) -> bytes:
    head = _head(callout.header)
    content = _gzipped(head, callout)
    at_s = int(time.time()) + _SIGNED_AHEAD_S
    headers = {
        "Host": "penstock",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Content-Length": str(len(content)),
        **signed_headers(secret, message_id, at_s, head + callout.changes),
    }
    lines = [f"POST /v1/orgs/{callout.header['org_id']}/changes HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content
