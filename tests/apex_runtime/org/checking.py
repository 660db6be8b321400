"""Whether a record may be stored: types, lengths, required and unique fields, references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org import derived
from tests.apex_runtime.org.field_values import Refused, stored
from tests.apex_runtime.org.schema import REFERENCES, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.schema import Field, ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.org.triggers import Entry
    from tests.apex_runtime.values import Value


def row_of(tx: Transaction, kind: ObjectType, entry: Entry) -> dict[str, Value]:
    """Return a record as it would be stored; Refused when something is wrong with it."""
    row: dict[str, Value] = {}
    for name, value in entry.record.fields.items():
        defined = kind.field(name)
        if defined is None:
            raise NotModelled(f"no field {kind.name}.{name}")
        if defined.formula is not None:
            continue
        kept = stored(defined, value)
        if kept is not None:
            row[defined.name] = kept
            if defined.type in REFERENCES and _is_new(entry, defined, kept):
                _check_target(tx, defined, str(kept))
    derived.stamp(row, kind, tx.user_id, tx.now_ms(), created=entry.before is None)
    derived.derive(kind, row, tx.org.store)
    required = [e.name for e in kind.definitions.values() if e.required and e.name not in row]
    if required:
        names = ", ".join(required)
        raise Refused(
            "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{names}]: [{names}]"
        )
    return row


def _is_new(entry: Entry, defined: Field, value: Value) -> bool:
    return entry.before is None or entry.before.get(defined.name) != value


def _check_target(tx: Transaction, defined: Field, target: str) -> None:
    """Refuse a reference to a record that is of another type, not there or deleted."""
    kind = tx.org.catalog.of_id(target)
    if kind is None or kind.name not in defined.reference_to:
        raise Refused(
            "FIELD_INTEGRITY_EXCEPTION", f"{defined.name}: id value of incorrect type: {target}"
        )
    row = tx.org.store.get(kind.name, target)
    if row is None:
        raise Refused(
            "INVALID_CROSS_REFERENCE_KEY", f"{defined.name}: invalid cross reference id: {target}"
        )
    if row.get("IsDeleted"):
        raise Refused("ENTITY_IS_DELETED", f"{defined.name}: entity is deleted: {target}")


class Taken:
    """The values that unique fields have already, to refuse a second one."""

    def __init__(self, tx: Transaction, kind: ObjectType, entries: Sequence[Entry]) -> None:
        self._kind = kind
        self._names = [each.name for each in kind.definitions.values() if each.unique]
        if kind.kind is Kind.CUSTOM_SETTING:
            self._names.append("SetupOwnerId")
        saved = {entry.record_id for entry in entries}
        self._values = {
            (name, folded(row[name])): row["Id"]
            for name in self._names
            for row in tx.org.store.rows(kind.name)
            if name in row and row["Id"] not in saved
        }

    def check(self, row: Row) -> None:
        """Refuse a row that has a value which another one has."""
        for name in self._names:
            if name not in row:
                continue
            key = (name, folded(row[name]))
            if key in self._values:
                raise Refused(
                    "DUPLICATE_VALUE",
                    f"duplicate value found: {name} duplicates value on record with id: "
                    f"{self._values[key]!s}",
                )
            self._values[key] = row.get("Id")


def folded(value: Any) -> Any:  # noqa: ANN401  any field's value
    """Return a value as unique fields and external ids compare it: text without case."""
    return value.lower() if isinstance(value, str) else value
