"""Insert and update of one chunk, in the platform's order of execution.

Before triggers, checks and validation rules, the save, after triggers, workflow field updates with
update triggers once more. Source: Apex Developer Guide, apex_triggers_order_of_execution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.checking import Taken, row_of
from tests.apex_runtime.org.field_values import Refused, default_value
from tests.apex_runtime.org.person_account import contact_behind
from tests.apex_runtime.org.schema import Kind
from tests.apex_runtime.org.triggers import Entry, trigger_record
from tests.apex_runtime.values import Id, SObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.apex_runtime.org.schema import Field, ObjectType
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import Value


def insert(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> None:
    """Insert a chunk; what refuses a record is added to its errors."""
    for entry in entries:
        entry.record = _with_defaults(tx, kind, entry)
    tx.triggers.fire(kind, "BEFORE_INSERT", entries, new=[e.record for e in entries], old=None)
    if not _save(tx, kind, entries, all_or_none=all_or_none):
        return
    _fire_after(tx, kind, "AFTER_INSERT", good(entries))
    _update_by_workflow(tx, kind, good(entries))


def update(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> None:
    """Update a chunk; fields that are not given stay."""
    for entry in entries:
        find(tx, kind, entry)
        if not entry.errors:
            assert entry.before is not None
            fields = {**entry.before, **_writeable(kind, entry)}
            entry.record = SObject(kind.name, {n: v for n, v in fields.items() if v is not None})
    found = good(entries)
    if len(found) == len(entries) or not all_or_none:
        update_found(tx, kind, found, all_or_none=all_or_none)


def update_found(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> None:
    """Update records of which the stored and the new state are known."""
    _fire_before_update(tx, kind, entries)
    if _save(tx, kind, entries, all_or_none=all_or_none):
        _fire_after(tx, kind, "AFTER_UPDATE", good(entries))
        _update_by_workflow(tx, kind, good(entries))


def find(tx: Transaction, kind: ObjectType, entry: Entry) -> None:
    """Set the stored row of a record, or the error that there is none."""
    if entry.record_id is None:
        entry.errors.append(("MISSING_ARGUMENT", "Id not specified in an update call"))
        return
    entry.before = tx.org.store.get(kind.name, entry.record_id)
    if entry.before is None:
        entry.errors.append(("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"))
    elif entry.before.get("IsDeleted"):
        entry.errors.append(("ENTITY_IS_DELETED", "entity is deleted"))


def _with_defaults(tx: Transaction, kind: ObjectType, entry: Entry) -> SObject:
    """Return what a before insert trigger sees: the given fields, defaults and the owner."""
    fields = {each.name: default_value(each) for each in kind.definitions.values()}
    if "OwnerId" in kind.fields:
        fields["OwnerId"] = Id(tx.user_id)
    if kind.kind is Kind.CUSTOM_SETTING:
        fields["SetupOwnerId"] = Id(tx.org.org_id)
    for defined, value in _given(kind, entry):
        if defined.read_only and value is not None and value != fields.get(defined.name):
            message = f"Unable to create/update fields: {defined.name}"
            entry.errors.append(("INVALID_FIELD_FOR_INSERT_UPDATE", message))
        fields[defined.name] = value
    return SObject(kind.name, {name: value for name, value in fields.items() if value is not None})


def _writeable(kind: ObjectType, entry: Entry) -> Mapping[str, Value]:
    """Return the given fields that an update may write; a queried system field may come along."""
    return {each.name: value for each, value in _given(kind, entry) if not each.read_only}


def _given(kind: ObjectType, entry: Entry) -> Iterator[tuple[Field, Value]]:
    """Return the caller's fields; parents that a query brought along are none."""
    for name, value in entry.given.fields.items():
        defined = kind.field(name)
        if defined is not None:
            yield defined, value
        elif kind.reference(name) is None:
            raise NotModelled(f"no field {kind.name}.{name}")


def _fire_before_update(tx: Transaction, kind: ObjectType, entries: Sequence[Entry]) -> None:
    """Fire before update with `Trigger.old` as it was before the statement."""
    tx.triggers.fire(
        kind,
        "BEFORE_UPDATE",
        entries,
        new=[e.record for e in entries],
        old=[trigger_record(kind, e.before or {}, read_only=True) for e in entries],
    )


def _fire_after(tx: Transaction, kind: ObjectType, event: str, entries: Sequence[Entry]) -> None:
    """Fire an after trigger with read-only records."""
    if not entries:
        return
    old = None
    if event == "AFTER_UPDATE":
        old = [trigger_record(kind, e.before or {}, read_only=True) for e in entries]
    new = [trigger_record(kind, e.row or {}, read_only=True) for e in entries]
    tx.triggers.fire(kind, event, entries, new=new, old=old)


def _save(
    tx: Transaction, kind: ObjectType, entries: Sequence[Entry], *, all_or_none: bool
) -> bool:
    """Check the records and store those that are right; return whether to go on."""
    taken = Taken(tx, kind, entries)
    for entry in good(entries):
        try:
            row = row_of(tx, kind, entry)
            taken.check(row)
        except Refused as refused:
            entry.errors.append(refused.error)
            continue
        for rule in tx.triggers.validation_rules(kind):
            message = rule(row)
            if message is not None:
                entry.errors.append(("FIELD_CUSTOM_VALIDATION_EXCEPTION", message))
        entry.row = row
    if all_or_none and len(good(entries)) < len(entries):
        return False
    for entry in good(entries):
        _store(tx, kind, entry)
    return True


def _store(tx: Transaction, kind: ObjectType, entry: Entry) -> None:
    """Store a checked record; an inserted one gets its id."""
    assert entry.row is not None
    if entry.before is None:
        entry.record_id = tx.org.store.new_id(kind.prefix)
    assert entry.record_id is not None
    row = {"Id": entry.record_id, **entry.row}
    if kind.name == "Account" and row.get("IsPersonAccount"):
        row["PersonContactId"] = contact_behind(tx, row)
    entry.row = row
    tx.org.store.put(kind.name, entry.record_id, row)


def _update_by_workflow(tx: Transaction, kind: ObjectType, entries: Sequence[Entry]) -> None:
    """Apply field updates and fire update triggers once more, `Trigger.old` as at the first time.

    Source: Apex Developer Guide, apex_triggers_context_variables_considerations.
    """
    changed = []
    for entry in entries:
        assert entry.row is not None
        values: dict[str, Any] = {}
        for rule in tx.org.automation.field_updates.get(kind.name, []):
            values |= rule(entry.row, entry.before) or {}
        if values:
            inserted_as = entry.row if entry.before is None else entry.before
            again = Entry(entry.index, entry.given, SObject(kind.name, {**entry.row, **values}))
            again.record_id, again.before, again.errors = (
                entry.record_id,
                inserted_as,
                entry.errors,
            )
            changed.append(again)
    if changed:
        _fire_before_update(tx, kind, changed)
        _save(tx, kind, changed, all_or_none=False)
        _fire_after(tx, kind, "AFTER_UPDATE", good(changed))


def good(entries: Sequence[Entry]) -> list[Entry]:
    """Return the records that nothing refused so far."""
    return [entry for entry in entries if not entry.errors]
