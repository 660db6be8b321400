"""Delete and undelete of one chunk, and merge.

A deletion takes children along, for which no trigger fires; they come back with their parent.
Source: Apex Developer Guide, apex_triggers_ignoring_operations, apex_triggers_merge_statements,
apex_triggers_recovered_records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org import saving
from tests.apex_runtime.org.derived import stamp
from tests.apex_runtime.org.schema import REFERENCES, Kind, OnDelete
from tests.apex_runtime.org.triggers import Entry, trigger_record
from tests.apex_runtime.values import Id, SObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.apex_runtime.org.schema import Field, ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction

_MERGEABLE: Final = frozenset({"Account", "Contact", "Lead"})
_MOST_LOSERS: Final = 2


def delete(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> None:
    """Move a chunk to the recycle bin; custom settings go for good."""
    if kind.kind is Kind.SETUP:
        raise NotModelled(f"deletion of a {kind.name}")
    for entry in entries:
        saving.find(tx, kind, entry)
    found = saving.good(entries)
    _fire_delete(tx, kind, "BEFORE_DELETE", found)
    for entry in saving.good(found):
        _refuse_restricted(tx, kind, entry)
    if all_or_none and len(saving.good(entries)) < len(entries):
        return
    kept = saving.good(found)
    _bin(tx, kind, kept)
    _fire_delete(tx, kind, "AFTER_DELETE", kept)


def undelete(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> None:
    """Take a chunk out of the recycle bin, with what was taken along; only after triggers fire."""
    if kind.kind is not Kind.RECORD:
        raise NotModelled(f"undelete of a {kind.name}")
    for entry in entries:
        entry.before = tx.org.store.get(kind.name, str(entry.record_id))
        if entry.before is None or not entry.before.get("IsDeleted"):
            entry.errors.append(("UNDELETE_FAILED", "Entity is not in the recycle bin"))
    if all_or_none and len(saving.good(entries)) < len(entries):
        return
    for entry in saving.good(entries):
        assert entry.record_id is not None
        _restore(tx, kind.name, entry.record_id)
        entry.row = tx.org.store.get(kind.name, entry.record_id)
        for type_name, child_id in tx.org.store.taken_along.pop(entry.record_id, []):
            _restore(tx, type_name, child_id)
    restored = saving.good(entries)
    new = [trigger_record(kind, e.row or {}, read_only=True) for e in restored]
    tx.triggers.fire(kind, "AFTER_UNDELETE", restored, new=new, old=None)


def _fire_delete(tx: Transaction, kind: ObjectType, event: str, entries: Sequence[Entry]) -> None:
    """Fire a delete trigger: there is no `Trigger.new`."""
    old = [trigger_record(kind, e.before or {}, read_only=True) for e in entries]
    tx.triggers.fire(kind, event, entries, new=None, old=old)


def _bin(tx: Transaction, kind: ObjectType, entries: Sequence[Entry]) -> None:
    """Delete records with their children."""
    for entry in entries:
        assert entry.record_id is not None
        if kind.kind is Kind.CUSTOM_SETTING:
            tx.org.store.remove(kind.name, entry.record_id)
            continue
        _mark_deleted(tx, kind.name, entry.record_id)
        tx.org.store.taken_along[entry.record_id] = []
    if kind.kind is not Kind.CUSTOM_SETTING:
        _take_along(tx, kind, {str(entry.record_id): str(entry.record_id) for entry in entries})


def _mark_deleted(tx: Transaction, type_name: str, record_id: str) -> None:
    row = dict(tx.org.store.get(type_name, record_id) or {})
    stamp(row, tx.org.catalog[type_name], tx.user_id, tx.now_ms(), created=False)
    tx.org.store.put(type_name, record_id, {**row, "IsDeleted": True})


def _restore(tx: Transaction, type_name: str, record_id: str) -> None:
    row = dict(tx.org.store.get(type_name, record_id) or {})
    stamp(row, tx.org.catalog[type_name], tx.user_id, tx.now_ms(), created=False)
    row.pop("MasterRecordId", None)
    tx.org.store.put(type_name, record_id, {**row, "IsDeleted": False})


def _children(tx: Transaction, kind: ObjectType) -> Iterator[tuple[ObjectType, Field]]:
    """Return the types and fields that refer to a type; fields that users cannot set aside."""
    for child in tx.org.catalog:
        for each in child.definitions.values():
            if each.type in REFERENCES and kind.name in each.reference_to and not each.read_only:
                yield child, each


def _take_along(tx: Transaction, kind: ObjectType, roots: Mapping[str, str]) -> None:
    """Delete or release the children of deleted records, and theirs.

    `roots` tells for each deleted id whose deletion it was, with which it comes back.
    """
    for child, reference in _children(tx, kind):
        taken = {}
        for row in tx.org.store.rows(child.name):
            parent = row.get(reference.name)
            if parent is None or str(parent) not in roots:
                continue
            child_id, root = str(row["Id"]), roots[str(parent)]
            if reference.on_delete is OnDelete.CASCADE:
                _mark_deleted(tx, child.name, child_id)
                tx.org.store.taken_along[root].append((child.name, child_id))
                taken[child_id] = root
            else:
                kept = {name: value for name, value in row.items() if name != reference.name}
                tx.org.store.put(child.name, child_id, kept)
        if taken:
            _take_along(tx, child, taken)


def _refuse_restricted(tx: Transaction, kind: ObjectType, entry: Entry) -> None:
    """Refuse a deletion that a child's field forbids."""
    for child, reference in _children(tx, kind):
        if reference.on_delete is OnDelete.RESTRICT and any(
            row.get(reference.name) == entry.record_id for row in tx.org.store.rows(child.name)
        ):
            message = f"Your attempt to delete the record was refused: {child.name} refers to it"
            entry.errors.append(("DELETE_FAILED", message))


def merge(tx: Transaction, records: Sequence[SObject]) -> list[Entry]:
    """Merge losers into the first record: one delete with the losers, one update of the winner.

    MasterRecordId is set in after delete only. The losers' children move to the winner, and no
    trigger fires for them. Returns the entries, the winner's first.
    """
    kind = tx.org.catalog[records[0].type_name]
    if kind.name not in _MERGEABLE or not 1 < len(records) <= 1 + _MOST_LOSERS:
        raise NotModelled(f"merge of {len(records)} {kind.name} records")
    winner, *losers = (
        Entry(index, record, record, record_id=Id(str(record.fields.get("Id"))))
        for index, record in enumerate(records)
    )
    for entry in (winner, *losers):
        saving.find(tx, kind, entry)
    _fire_delete(tx, kind, "BEFORE_DELETE", saving.good(losers))
    if any(entry.errors for entry in (winner, *losers)):
        return [winner, *losers]
    assert winner.record_id is not None
    for loser in losers:
        _lose(tx, kind, loser, winner.record_id)
    _fire_delete(tx, kind, "AFTER_DELETE", losers)
    saving.update(tx, kind, [winner], all_or_none=True)
    return [winner, *losers]


def _lose(tx: Transaction, kind: ObjectType, loser: Entry, winner_id: Id) -> None:
    """Delete a loser and hand its children over."""
    assert loser.record_id is not None
    row: Row = {**(tx.org.store.get(kind.name, loser.record_id) or {}), "MasterRecordId": winner_id}
    tx.org.store.put(kind.name, loser.record_id, row)
    _mark_deleted(tx, kind.name, loser.record_id)
    loser.before = {**(loser.before or {}), "MasterRecordId": winner_id}
    for child, reference in _children(tx, kind):
        for child_row in tx.org.store.rows(child.name):
            if child_row.get(reference.name) == loser.record_id:
                moved = {**child_row, reference.name: winner_id}
                tx.org.store.put(child.name, str(child_row["Id"]), moved)
