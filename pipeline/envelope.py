"""What one broker message holds: the callouts of one routing key that were published together.

The broker's cost is paid per message and per byte, so ingest groups callouts and leaves them
compressed. Each item keeps a callout's bytes as they came, so that an item can be decoded, and
fail, alone.

Encoding: MessagePack, arrays rather than maps; the version comes first.

What older readers may ignore is added to an item's end. What they may not makes a new version,
which one release reads before the next one writes it. A message waits in its queue, in the log and
among dead letters longer than an upgrade takes: every version is read for ever.
"""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from pipeline import json_text
from pipeline.callout import UnixMs
from pipeline.errors import PoisonError, TransientError
from pipeline.gzip_text import inflate
from pipeline.topology import MAX_MESSAGE_BYTES

VERSION: Final = 1
# Beyond it, a number is no version of ours.
MAX_VERSION: Final = 99
# A message's text is at most so many times the message: a worker's memory is bounded by it.
MAX_INFLATION: Final = 16
CONTENT_TYPE: Final = "application/vnd.penstock.callouts+msgpack"

# What ingest takes for a `webhook-id`. These are checked again where a message is decoded: whatever
# else somebody publishes would stop the worker that tried to store it.
_CalloutId = Annotated[str, Meta(pattern="^[\\x20-\\x7e]{0,255}\\Z")]
_Size = Annotated[int, Meta(ge=0, lt=MAX_INFLATION * (MAX_MESSAGE_BYTES + 1))]


class NewerEnvelope(TransientError):
    """A message of a later version: whoever knows that one can read it."""

    def __init__(self, version: int) -> None:
        super().__init__(f"envelope version {version} is newer than {VERSION}, the newest known")
        self.version = version


class Kind(StrEnum):
    """What the body of an item is."""

    CHANGES = "changes"
    AUDIT = "audit"


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One callout, or a slice of one, as ingest received it.

    `callout_id` is the request's `webhook-id`, `received_at` Unix ms on ingest's clock. `body` is
    the contract's JSON, in the masked form of `pipeline.json_text` when `masked`; or gzip of
    `inflated_bytes` of that JSON, as the org sent it and not masked yet, when those are not 0.
    """

    callout_id: _CalloutId
    received_at: UnixMs
    masked: bool
    body: bytes
    kind: Kind = Kind.CHANGES
    inflated_bytes: _Size = 0

    @property
    def weight_bytes(self) -> int:
        """What the item counts for in a message, of which `MAX_MESSAGE_BYTES` are room."""
        return max(len(self.body), self.inflated_bytes // MAX_INFLATION)

    def text(self) -> bytes:
        """Return the contract's JSON, masked if it has to be.

        Raises:
            GzipError: the body is not what ingest inflated.
        """
        if not self.inflated_bytes:
            return self.body
        text = inflate(self.body, self.inflated_bytes)
        return json_text.mask(text) if self.masked else text


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    version: int
    items: list[Item]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    version: Annotated[int, Meta(gt=VERSION, le=MAX_VERSION)]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Envelope)
_newer: Final = msgspec.msgpack.Decoder(_Head)
# For whoever keeps or shows what it cannot read.
UNREADABLE: Final = (PoisonError, NewerEnvelope)


def encode(items: list[Item]) -> bytes:
    """Encode the items of one message."""
    return _encoder.encode((VERSION, [_sent(item) for item in items]))


def decode(message: bytes) -> list[Item]:
    """Decode one message.

    Raises:
        NewerEnvelope: it was written for readers of a later version.
        PoisonError: the bytes are no envelope, or one of a version that never was.
    """
    try:
        envelope = _decoder.decode(message)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        _refuse_newer(message)
        raise PoisonError(f"not an envelope: {error}") from error
    if envelope.version != VERSION:
        _refuse_newer(message)
        raise PoisonError(f"envelope version {envelope.version} is not known here")
    return envelope.items


def _refuse_newer(message: bytes) -> None:
    """Raise if a message says that it is of a later version, whatever else that one looks like."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise NewerEnvelope(_newer.decode(message).version)


def _sent(item: Item) -> Item | tuple[object, ...]:
    # What every reader takes for granted is left out: those that know nothing else read on.
    if item.inflated_bytes:
        return item
    head = (item.callout_id, item.received_at, item.masked, item.body)
    return head if item.kind is Kind.CHANGES else (*head, item.kind)
