"""Upsert: which of its records are inserted, and which updated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.checking import folded
from tests.apex_runtime.values import Id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.org.triggers import Entry


def split_upsert(
    tx: Transaction, entries: Sequence[Entry], external_id: str | None
) -> list[tuple[str, list[Entry]]]:
    """Return an upsert's inserts and updates; by Id, or by the key field of another name."""
    inserts: list[Entry] = []
    updates: list[Entry] = []
    for entry in entries:
        if external_id is not None and external_id.lower() != "id":
            _find_by_key(tx, entry, external_id)
        (inserts if entry.record_id is None else updates).append(entry)
    return [("insert", inserts), ("update", updates)]


def _find_by_key(tx: Transaction, entry: Entry, external_id: str) -> None:
    """Set the id of the one row that has a record's external id, where one has."""
    kind = tx.org.catalog[entry.given.type_name]
    defined = kind.field(external_id)
    if defined is None or not (defined.external_id or defined.unique):
        raise NotModelled(f"{kind.name}.{external_id} as upsert's key")
    wanted = folded(entry.given.fields.get(defined.name))
    found = [r for r in tx.org.store.rows(kind.name) if folded(r.get(defined.name)) == wanted]
    if wanted is None:
        entry.errors.append(("MISSING_ARGUMENT", f"{defined.name} not specified"))
    elif len(found) > 1:
        entry.errors.append(("DUPLICATE_EXTERNAL_ID", f"{defined.name}: more than one record"))
    elif found:
        entry.record_id = Id(str(found[0]["Id"]))
