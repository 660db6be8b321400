"""Where a record that was read stands among the changes that were captured.

A snapshot is as old as its record's SystemModstamp says, never as new as its reading: a transaction
under way is not in it. In the second of a change it counts less, unless it was read so much later
that the change's transaction is over. So readings and changes have one total order, which holds
whatever arrives first; it is the order of `record`: (captured_at, sequence, capture_id).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

if TYPE_CHECKING:
    from pipeline.callout import Header

# A transaction may last 10 minutes (Apex Developer Guide, "Execution Governors and Limits").
SETTLED_AFTER_MS: Final = 900_000
# After every invocation in a transaction, and before.
_LAST: Final = 2**31 - 1
_FIRST: Final = -1
_SECOND_MS: Final = 1000
# Comes after whatever a capture's id begins with; then the time of reading, Unix ms in 15 digits.
_MARK: Final = "~"
_MARKED: Final = re.compile(rf"{_MARK}(?P<read_at>\d{{15}})-")
_MAX_SKEW_MS: Final = 60_000


class Reading(NamedTuple):
    """What a snapshot says of one record's state: when it was read, and since when it is so.

    `modstamp` is its SystemModstamp (Unix ms, whole seconds); None if the record is not there, or
    does not say. Then it stands where only what surely happened before it stands before it.
    """

    read_at: int
    modstamp: int | None
    capture_id: str
    transaction: str
    request_id: int | None
    total: int | None

    @classmethod
    def of(cls, header: Header, modstamp: str | None) -> Self:
        """Return what a snapshot's header says of a record with this SystemModstamp."""
        return cls(
            read_at=header.read_at or header.captured_at,
            modstamp=_modstamp(modstamp, header.captured_at),
            capture_id=header.capture_id,
            transaction=header.transaction_id,
            request_id=header.request_id,
            total=header.total,
        )

    @property
    def order(self) -> tuple[int, int, str]:
        """The key of the state in the order of a record's changes."""
        settled_at = self.read_at - SETTLED_AFTER_MS
        # Of two readings of one state the later one counts.
        capture_id = f"{_MARK}{self.read_at:015d}-{self.capture_id}"
        if self.modstamp is None:
            return (max(settled_at, 0), _LAST, capture_id)
        end = self.modstamp + _SECOND_MS - 1
        sequence = _FIRST if settled_at < self.modstamp else _LAST
        return (min(max(settled_at, self.modstamp), end), sequence, capture_id)

    @property
    def transaction_id(self) -> str:
        """What a rule fires for once: the record's state, however often it is read."""
        return transaction_of(self.order[0])

    def restore(self, header: Header) -> Header:
        """Return the header as it was sent."""
        return msgspec.structs.replace(
            header,
            capture_id=self.capture_id,
            transaction_id=self.transaction,
            sequence=0,
            captured_at=self.read_at,
            read_at=self.read_at,
            request_id=self.request_id,
            total=self.total,
        )


def is_reading(capture_id: str) -> bool:
    """Tell whether a state's `capture_id` is that of a snapshot."""
    return read_at_of(capture_id) is not None


def read_at_of(capture_id: str) -> int | None:
    """Return when (Unix ms) the state was read that has this `capture_id`; None if it was told."""
    marked = _MARKED.match(capture_id)
    return None if marked is None else int(marked["read_at"])


def transaction_of(captured_at: int) -> str:
    """Return the `transaction_id` of a snapshot that stands at `captured_at`."""
    return f"snapshot-{captured_at // _SECOND_MS}"


def _modstamp(value: str | None, read_at: int) -> int | None:
    """Read a datetime as Apex writes it: `2026-05-01T12:00:00.000+0000`, or with Z."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    modstamp = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * _SECOND_MS
    # What lies in the future would stay the newest for ever.
    return modstamp if 0 <= modstamp <= read_at + _MAX_SKEW_MS else None
