"""The wire contract of a callout, version 1: what Apex posts and ingest and workers read.

One capture (a trigger invocation) is one callout, or several slices of it that share its
`capture_id`. Keys that are not known here are ignored, so that senders may grow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw

from pipeline.json_text import MAX_DEPTH, is_too_deep, require_utf8
from pipeline.objects import Operation, SObject, long_id

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHANGES: Final = 20_000
# What the ids of readings and of confirmed gaps begin with, which have no capture of their own.
RESERVED_CAPTURE_IDS: Final = ("~", "gap:")
T = TypeVar("T")

_MAX_INT4: Final = 2**31 - 1
_MAX_UNIX_MS: Final = 2**53 - 1

# \Z, since $ would let a line break follow.
SalesforceId = Annotated[str, Meta(pattern="^[a-zA-Z0-9]{15}(?:[a-zA-Z0-9]{3})?\\Z")]
UnixMs = Annotated[int, Meta(ge=0, le=_MAX_UNIX_MS)]
RequestId = Annotated[int, Meta(ge=0, le=_MAX_UNIX_MS)]
_Token = Annotated[str, Meta(pattern="^[\\x21-\\x7e]{1,64}\\Z")]

# Whether an operation has an old and a new state.
_NEEDS: Final[Mapping[Operation, tuple[bool, bool]]] = {
    Operation.INSERT: (False, True),
    Operation.UPDATE: (True, True),
    Operation.DELETE: (True, False),
    Operation.UNDELETE: (False, True),
}
# A snapshot has a record's state or, of one that is not there, what was asked for.
_SNAPSHOT_SIDES: Final = frozenset({(False, True), (True, False)})

_NULL: Final = Raw(b"null")
_TOO_DEEP: Final = "nested too deep"
# A record stands in the document, its list and a change.
_LEVELS_AROUND: Final = 3
# What stands around the records of a change that has none, one or both of them.
_FRAME_BYTES: Final = (len(b"{},"), len(b'{"old":},'), len(b'{"old":,"new":},'))
_PLACE: Final = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<place>\$.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<field>\w+)`")


class ContractError(ValueError):
    """JSON that is not this contract (answered 422). `place` is a JSONPath; no value is shown."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place
        self.problem = problem


class NotJsonError(ValueError):
    """A body that is not JSON, not UTF-8, or too deep (answered 400)."""


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one callout says once for all its changes. Ids may have 15 or 18 characters.

    A snapshot's `read_at` (Unix ms) was taken before its records were read; `request_id` is what it
    answers, `total` how many records the walk has before it, if it says so.
    """

    version: Literal[1]
    org_id: SalesforceId
    object: SObject
    operation: Operation
    capture_id: _Token
    transaction_id: _Token
    sequence: Annotated[int, Meta(ge=0, le=_MAX_INT4)]
    captured_at: UnixMs
    actor_id: SalesforceId | None = None
    read_at: UnixMs | None = None
    request_id: RequestId | None = None
    total: RequestId | None = None


class ChangeText(msgspec.Struct, frozen=True):
    """One record's old and new as the JSON text that Apex wrote, to the byte; `null` if absent."""

    old: Raw = _NULL
    new: Raw = _NULL


class CalloutText(Header, frozen=True, kw_only=True, omit_defaults=True):
    """A callout whose records are left as text."""

    changes: list[ChangeText]


class _Identified(msgspec.Struct, frozen=True):
    Id: SalesforceId


class _IdentifiedChange(msgspec.Struct, frozen=True):
    old: _Identified | None = None
    new: _Identified | None = None


class CheckedCallout(Header, frozen=True, kw_only=True):
    """A callout of which everything but the record ids was checked and skipped."""

    changes: Annotated[list[_IdentifiedChange], Meta(max_length=MAX_CHANGES)]


_checker: Final = msgspec.json.Decoder(CheckedCallout)
_reader: Final = msgspec.json.Decoder(CalloutText)
_encoder: Final = msgspec.json.Encoder()


def check(body: bytes) -> CheckedCallout:
    """Check a whole callout against the contract without decoding its records.

    Raises:
        NotJsonError: not UTF-8, not JSON, or nested more than 100 levels deep.
        ContractError: JSON, but not this contract; names the place.
    """
    callout = _decode(body, _checker)
    if _is_too_deep(body, len(callout.changes)):
        raise NotJsonError(_TOO_DEEP)
    if callout.operation is Operation.SNAPSHOT and callout.read_at is None:
        raise ContractError("$.read_at", f"required for {callout.operation}")
    if callout.capture_id.startswith(RESERVED_CAPTURE_IDS):
        raise ContractError("$.capture_id", "`~` and `gap:` begin ids that Penstock makes")
    for index, change in enumerate(callout.changes):
        _check_sides(callout.operation, change, f"$.changes[{index}]")
    return callout


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a request body, telling what is no JSON (400) from what is not the contract (422).

    Raises:
        NotJsonError: not UTF-8, not JSON, or nested more than 100 levels deep.
        ContractError: JSON, but not what `decoder` expects; names the place.
    """
    decoded = _decode(body, decoder)
    if is_too_deep(body):
        raise NotJsonError(_TOO_DEEP)
    return decoded


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        require_utf8(body)
    except UnicodeDecodeError as error:
        raise NotJsonError(f"not UTF-8 at byte {error.start}") from None
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if is_too_deep(body):
            raise NotJsonError(_TOO_DEEP) from None
        raise _contract_error(str(error)) from None
    except msgspec.DecodeError as error:
        raise NotJsonError(str(error)) from None
    except RecursionError:
        raise NotJsonError(_TOO_DEEP) from None


def _is_too_deep(body: bytes, change_count: int) -> bool:
    """Tell whether a checked callout nests too deep, its many records looked at one by one.

    Each of them has few brackets, which is found out at a tenth of the price of looking at the
    whole. What is not a record is looked at only if it is more than the contract has.
    """
    if change_count <= 1:
        return is_too_deep(body)
    callout = read(body)
    known_bytes = len(_encoder.encode(msgspec.structs.replace(callout, changes=[])))
    sides: list[bytes] = []
    for change in callout.changes:
        present = [bytes(side) for side in (change.old, change.new) if side is not _NULL]
        known_bytes += _FRAME_BYTES[len(present)] + sum(map(len, present))
        sides += present
    if len(body) - known_bytes > MAX_DEPTH:
        return is_too_deep(body)
    return any(is_too_deep(side, around=_LEVELS_AROUND) for side in sides)


def read(body: bytes) -> CalloutText:
    """Decode a callout that ingest has checked, leaving its records as text.

    Raises:
        msgspec.DecodeError: the bytes are not such a callout (poison, for a consumer).
    """
    return _reader.decode(body)


def slices(body: bytes, max_bytes: int) -> list[bytes]:
    """Split a checked callout into callouts of at most `max_bytes`, records untouched.

    A callout that is small enough comes back as it is; a change that alone is over the limit gets
    a slice of its own. Keys that are not known here stay behind.
    """
    if len(body) <= max_bytes:
        return [body]
    callout = read(body)
    header_bytes = len(_encoder.encode(msgspec.structs.replace(callout, changes=[])))
    groups: list[list[ChangeText]] = []
    room_bytes = 0
    for change in callout.changes:
        size_bytes = len(memoryview(change.old)) + len(memoryview(change.new)) + _FRAME_BYTES[2]
        if not groups or size_bytes > room_bytes:
            groups.append([])
            room_bytes = max_bytes - header_bytes
        groups[-1].append(change)
        room_bytes -= size_bytes
    return [_encoder.encode(msgspec.structs.replace(callout, changes=group)) for group in groups]


def _check_sides(operation: Operation, change: _IdentifiedChange, place: str) -> None:
    if operation is Operation.SNAPSHOT:
        if (change.old is not None, change.new is not None) not in _SNAPSHOT_SIDES:
            raise ContractError(place, f"either old or new for {operation}")
        return
    needs_old, needs_new = _NEEDS[operation]
    for side, record, needed in (("old", change.old, needs_old), ("new", change.new, needs_new)):
        if needed and record is None:
            raise ContractError(f"{place}.{side}", f"required for {operation}")
        if not needed and record is not None:
            raise ContractError(f"{place}.{side}", f"must be null for {operation}")
    if change.old and change.new and long_id(change.old.Id) != long_id(change.new.Id):
        raise ContractError(f"{place}.new.Id", "old and new are different records")


def _contract_error(message: str) -> ContractError:
    """Turn msgspec's message into a place and a problem that show no value of the body."""
    match = _PLACE.match(message)
    problem, place = (match["problem"], match["place"] or "$") if match else (message, "$")
    if missing := _MISSING.search(problem):
        return ContractError(f"{place}.{missing['field']}", "required")
    if problem.startswith("Invalid enum value"):
        return ContractError(place, "not a value of this contract")
    return ContractError(place, problem)
