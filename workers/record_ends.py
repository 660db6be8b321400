"""Records that cease to be themselves: deleted, merged into another, converted into a contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from pipeline.errors import PermanentError, Reason
from pipeline.objects import Operation, SObject, is_salesforce_id, long_id
from workers.enrollments import EndKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.database import Connection
    from workers.received import ReceivedChange

_CONVERTED: Final = b'"ConvertedContactId"'

_INSERT: Final = """
    INSERT INTO record_end (org_id, record_id, captured_at, sequence, capture_id, kind,
                            successor_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::integer[], $5::text[],
                         $6::text[], $7::text[])
    ON CONFLICT DO NOTHING"""


class _Line(msgspec.Struct, frozen=True):
    """Where a record goes on. Whatever is no id counts as none."""

    MasterRecordId: Any = None
    ConvertedContactId: Any = None


_line: Final = msgspec.json.Decoder(_Line)


class _End(NamedTuple):
    org_id: str
    record_id: str
    captured_at: int
    sequence: int
    capture_id: str
    kind: str
    successor_id: str | None


async def keep_ends(
    connection: Connection, new: Sequence[ReceivedChange]
) -> frozenset[tuple[str, str]]:
    """Keep the ends among `new`; return the records (org, record id) that ended.

    A merge is a deletion with `MasterRecordId`, a conversion the update that gives a lead its
    `ConvertedContactId`; both go on as the record named. To be called once the changes' rows in
    `record` are written, and thereby locked.

    Raises:
        PermanentError: a record cannot be decoded.
    """
    ends = sorted(end for change in new if (end := _end(change)) is not None)
    if ends:
        await connection.execute(_INSERT, *map(list, zip(*ends, strict=True)))
    return frozenset((end.org_id, end.record_id) for end in ends)


def _end(change: ReceivedChange) -> _End | None:
    key = (change.org_id, change.record_id, *change.order)
    if change.operation is Operation.DELETE:
        master = _successor(change, _decode(change.old).MasterRecordId)
        kind = EndKind.MERGED if master else EndKind.DELETED
        return _End(*key, kind.value, master)
    # Apex leaves nulls out: hardly a lead but a converted one has the field at all.
    if (
        change.object is not SObject.LEAD
        or change.operation is not Operation.UPDATE
        or change.new is None
        or _CONVERTED not in change.new
    ):
        return None
    contact = _successor(change, _decode(change.new).ConvertedContactId)
    if contact is None or _successor(change, _decode(change.old).ConvertedContactId):
        return None
    return _End(*key, EndKind.CONVERTED.value, contact)


def _successor(change: ReceivedChange, value: object) -> str | None:
    if not isinstance(value, str) or not is_salesforce_id(value):
        return None
    successor = long_id(value)
    return None if successor == change.record_id else successor


def _decode(text: bytes | None) -> _Line:
    try:
        return _line.decode(text or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise PermanentError(
            Reason.INVALID_RECORD, f"the record cannot be read: {error}"
        ) from error
