"""From a delivery's bytes to the changes in it, their records left as text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import msgspec

from pipeline import audit, callout, envelope, json_text
from pipeline.callout import SalesforceId
from pipeline.change import Change
from pipeline.errors import PermanentError, PoisonError, Reason
from pipeline.gzip_text import GzipError
from pipeline.objects import Operation, SObject, long_id
from workers.healing.reading import Reading

if TYPE_CHECKING:
    from pipeline.audit import AuditRange
    from pipeline.change import Fields
    from workers.field_reader import FieldReader

_NULL: Final = b"null"


class _Identified(msgspec.Struct, frozen=True):
    Id: SalesforceId


class _Dated(_Identified, frozen=True):
    # As text, since a number in its place may be beyond all bounds.
    SystemModstamp: msgspec.Raw = msgspec.Raw()


_identity: Final = msgspec.json.Decoder(_Identified)
_dated: Final = msgspec.json.Decoder(_Dated)
_encoder: Final = msgspec.json.Encoder()


class Redelivery(NamedTuple):
    """How often the broker has handed a message over, when last (Unix ms), and by which run."""

    delivery_count: int
    delivered_at: int
    run_id: int | None


class ReceivedChange(msgspec.Struct, frozen=True, gc=False):
    """One change as it was delivered. `old` and `new` are masked JSON text (see `json_text`).

    `captured_at` and `received_at` are Unix ms. Ids are 18 characters. What was read rather than
    captured says so (`reading`), and has its record's place among the changes for its own. What did
    not come for the first time says so, too (`redelivery`).
    """

    captured_at: int
    capture_id: str
    record_id: str
    org_id: str
    object: SObject
    operation: Operation
    sequence: int
    transaction_id: str
    actor_id: str | None
    callout_id: str
    received_at: int
    masked: bool
    old: bytes | None
    new: bytes | None
    reading: Reading | None = None
    redelivery: Redelivery | None = None

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What makes a change the same change, in the order of the history's key."""
        return (self.captured_at, self.capture_id, self.record_id, self.org_id)

    @property
    def order(self) -> tuple[int, int, str]:
        """The key by which the last writer wins."""
        return (self.captured_at, self.sequence, self.capture_id)

    @property
    def state(self) -> bytes:
        """The record after the change; a deleted record's last state."""
        return self.new or self.old or b"{}"

    @property
    def is_absent(self) -> bool:
        """Whether it says that the record that was asked for is not there."""
        return self.reading is not None and self.new is None

    @property
    def seen_at(self) -> int:
        """When the record was captured or read, in Unix ms."""
        return self.captured_at if self.reading is None else self.reading.read_at

    def original(self, side: bytes | None) -> bytes | None:
        """Return old or new as Apex wrote it, to the byte."""
        return json_text.unmask(side) if self.masked and side is not None else side

    def decode(self, reader: FieldReader | None = None) -> Change:
        """Decode the records for the rules: no more of them than `reader` reads, if one is given.

        Raises:
            PermanentError: a record is not a JSON object that can be read.
        """
        old, new = self._read(reader)
        return Change(
            org_id=self.org_id,
            object=self.object,
            operation=self.operation,
            record_id=self.record_id,
            capture_id=self.capture_id,
            transaction_id=self.transaction_id,
            sequence=self.sequence,
            # Dates count from when the record was seen to be so.
            captured_at=self.seen_at,
            actor_id=self.actor_id,
            old=old,
            new=new,
        )

    def _read(self, reader: FieldReader | None) -> tuple[Fields | None, Fields | None]:
        try:
            # A masked record's characters are to be put back in all that is read of it.
            if reader is not None and not self.masked:
                return reader.read(self.old, self.new)
            return _fields(self.old), _fields(self.new)
        except (ValueError, RecursionError) as error:
            raise PermanentError(
                Reason.INVALID_RECORD, f"the record cannot be read: {error}"
            ) from error

    def as_callout(self) -> bytes:
        """Return a callout of this change alone, in the contract's form: what a replay sends."""
        header = callout.Header(
            version=1,
            org_id=self.org_id,
            object=self.object,
            operation=self.operation,
            capture_id=self.capture_id,
            transaction_id=self.transaction_id,
            sequence=self.sequence,
            captured_at=self.captured_at,
            actor_id=self.actor_id,
        )
        if self.reading is not None:
            header = self.reading.restore(header)
        change = callout.ChangeText(
            old=msgspec.Raw(self.original(self.old) or _NULL),
            new=msgspec.Raw(self.original(self.new) or _NULL),
        )
        return _encoder.encode(
            callout.CalloutText(**msgspec.structs.asdict(header), changes=[change])
        )


class Decoded(NamedTuple):
    """What was in a message: changes, what orgs say they have, and the error of what is poison."""

    changes: list[ReceivedChange]
    ranges: list[AuditRange]
    poison: PoisonError | None

    @property
    def size_bytes(self) -> int:
        """The size of the records."""
        return sum(len(one.old or b"") + len(one.new or b"") for one in self.changes)


def decode(message: bytes) -> Decoded:
    """Decode one message.

    A callout that cannot be decoded does not take its neighbours in the message with it.

    Raises:
        NewerEnvelope: it is for workers of a later version.
    """
    try:
        items = envelope.decode(message)
    except PoisonError as error:
        return Decoded([], [], error)
    changes: list[ReceivedChange] = []
    ranges: list[AuditRange] = []
    poison: PoisonError | None = None
    for item in items:
        decoded = decode_item(item)
        changes += decoded.changes
        ranges += decoded.ranges
        poison = decoded.poison or poison
    return Decoded(changes, ranges, poison)


def decode_item(item: envelope.Item) -> Decoded:
    """Decode one callout of a message."""
    try:
        text = item.text()
        match item.kind:
            case envelope.Kind.CHANGES:
                return Decoded(_changes(item, text), [], None)
            case envelope.Kind.AUDIT:
                return Decoded([], [audit.read(text)], None)
            case unknown:
                assert_never(unknown)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, GzipError) as error:
        return Decoded([], [], PoisonError(f"callout {item.callout_id}: {error}"))


def now_ms() -> int:
    """Return this process's clock in Unix ms."""
    return time.time_ns() // 1_000_000


def _changes(item: envelope.Item, text: bytes) -> list[ReceivedChange]:
    # The decoder leaves records as text and does not look into them.
    json_text.require_utf8(text)
    read = callout.read(text)
    if read.operation is Operation.SNAPSHOT:
        return [_snapshot(item, read, change) for change in read.changes]
    changes: list[ReceivedChange] = []
    for change in read.changes:
        old, new = _text(change.old), _text(change.new)
        identity = _identity.decode(new or old or b"{}")
        changes.append(
            ReceivedChange(
                captured_at=read.captured_at,
                capture_id=read.capture_id,
                record_id=long_id(identity.Id),
                org_id=long_id(read.org_id),
                object=read.object,
                operation=read.operation,
                sequence=read.sequence,
                transaction_id=read.transaction_id,
                actor_id=long_id(read.actor_id) if read.actor_id else None,
                callout_id=item.callout_id,
                received_at=item.received_at,
                masked=item.masked,
                old=old,
                new=new,
            )
        )
    return changes


def _snapshot(
    item: envelope.Item, read: callout.CalloutText, change: callout.ChangeText
) -> ReceivedChange:
    old, new = _text(change.old), _text(change.new)
    identity = _dated.decode(new or old or b"{}")
    reading = Reading.of(read, None if new is None else _string(identity.SystemModstamp))
    captured_at, sequence, capture_id = reading.order
    return ReceivedChange(
        captured_at=captured_at,
        capture_id=capture_id,
        record_id=long_id(identity.Id),
        org_id=long_id(read.org_id),
        object=read.object,
        operation=read.operation,
        sequence=sequence,
        transaction_id=reading.transaction_id,
        actor_id=None,
        callout_id=item.callout_id,
        received_at=item.received_at,
        masked=item.masked,
        old=old,
        new=new,
        reading=reading,
    )


def _string(raw: msgspec.Raw) -> str | None:
    text = bytes(raw)
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else None


def _text(raw: msgspec.Raw) -> bytes | None:
    text = bytes(raw)
    return None if text == _NULL else text


def _fields(text: bytes | None) -> Fields | None:
    return None if text is None else json_text.decode_fields(text)
