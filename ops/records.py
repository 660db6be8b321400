"""One record: its state now and the changes that led to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Raw

from ops.errors import OpsError
from pipeline.json_text import decode_fields, mask, unmask
from pipeline.objects import Operation, SObject, long_id

if TYPE_CHECKING:
    from pipeline.change import Fields, Value
    from pipeline.database import Connection

# Fields that differ in every change, and what Apex adds to each record.
_BOOKKEEPING: Final = {"LastModifiedDate", "LastModifiedById", "SystemModstamp", "attributes"}

_READ_RECORD: Final = """
    SELECT deleted, fields FROM record WHERE org_id = $1 AND record_id = $2 AND object = $3"""
_READ_CHANGES: Final = """
    SELECT * FROM (
        SELECT capture_id, operation, captured_at, sequence, old, new FROM change
        WHERE org_id = $1 AND record_id = $2
        ORDER BY captured_at DESC, sequence DESC, capture_id DESC
        LIMIT $3) AS newest
    ORDER BY captured_at, sequence, capture_id"""

# Over the history's key, newest partition first.
_READ_NEWEST: Final = """
    SELECT org_id, object, record_id, operation, captured_at, capture_id, received_at,
           (extract(epoch FROM persisted_at) * 1000)::float8 AS persisted_ms
    FROM change
    WHERE (captured_at, capture_id, record_id) < ($1, $2, $3)
    ORDER BY captured_at DESC, capture_id DESC, record_id DESC, org_id DESC
    LIMIT $4"""
_AFTER_ALL: Final = 2**63 - 1


class NewestChange(msgspec.Struct, frozen=True):
    """A change as a listing names it; its times are Unix ms."""

    org_id: str
    object: str
    record_id: str
    operation: str
    captured_at: int
    capture_id: str
    received_at: int
    persisted_ms: float

    @property
    def key(self) -> tuple[int, str, str]:
        """What the next older ones come after."""
        return self.captured_at, self.capture_id, self.record_id


class RecordChange(msgspec.Struct, frozen=True):
    """One change of the record; `old` and `new` are the JSON that Apex wrote, to the byte."""

    capture_id: str
    operation: str
    captured_at: int
    old: Raw
    new: Raw


class FieldChange(NamedTuple):
    """A field whose value a change replaced; None stands for an empty field."""

    field: str
    old: Value
    new: Value


class RecordState(msgspec.Struct, frozen=True):
    """A record now, and its changes in order. A deleted record shows its last state."""

    org_id: str
    object: str
    record_id: str
    deleted: bool
    fields: Raw
    changes: list[RecordChange]


async def show(
    connection: Connection, org_id: str, sobject: SObject, record_id: str, *, limit: int
) -> RecordState:
    """Return a record and its newest `limit` changes.

    Raises:
        OpsError: no change of such a record ever arrived.
    """
    org_id, record_id = long_id(org_id), long_id(record_id)
    row = await connection.fetchrow(_READ_RECORD, org_id, record_id, sobject.value)
    if row is None:
        raise OpsError(f"no change of {sobject} {record_id} of org {org_id} has arrived")
    changes = await connection.fetch(_READ_CHANGES, org_id, record_id, limit)
    return RecordState(
        org_id=org_id,
        object=sobject.value,
        record_id=record_id,
        deleted=row["deleted"],
        fields=Raw(unmask(row["fields"].encode())),
        changes=[
            RecordChange(
                capture_id=change["capture_id"],
                operation=change["operation"],
                captured_at=change["captured_at"],
                old=_raw(change["old"]),
                new=_raw(change["new"]),
            )
            for change in changes
        ],
    )


async def newest(
    connection: Connection, *, before: tuple[int, str, str] | None = None, limit: int
) -> list[NewestChange]:
    """Return the newest changes of all orgs, those `before` a key if one is given."""
    rows = await connection.fetch(_READ_NEWEST, *(before or (_AFTER_ALL, "", "")), limit)
    return [NewestChange(*row) for row in rows]


def changed_fields(change: RecordChange) -> list[FieldChange]:
    """Return the fields that a change replaced, those that every change replaces left out.

    An insert replaces nothing with each field that is set. A delete or an undelete replaces none.
    """
    match Operation(change.operation):
        case Operation.DELETE | Operation.UNDELETE | Operation.SNAPSHOT:
            return []
        case Operation.INSERT | Operation.UPDATE:
            old, new = _decoded(change.old), _decoded(change.new)
            return [
                FieldChange(field, old.get(field), new.get(field))
                for field in {**new, **old}
                if field not in _BOOKKEEPING and old.get(field) != new.get(field)
            ]


def _decoded(text: Raw) -> Fields:
    return {} if bytes(text) == b"null" else decode_fields(mask(bytes(text)))


def _raw(text: str | None) -> Raw:
    return Raw(b"null" if text is None else text.encode())
