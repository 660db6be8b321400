"""Hierarchy custom settings: the organization's values, a profile's, a user's.

Source: Apex Developer Guide, apex_customsettings; Apex Reference,
apex_methods_system_custom_settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.field_values import default_value
from tests.apex_runtime.org.schema import Kind
from tests.apex_runtime.values import Id, SObject

if TYPE_CHECKING:
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction


def custom_setting(
    tx: Transaction, type_name: str, owner: str | None, *, merged: bool
) -> SObject | None:
    """Answer `getInstance` (merged), `getOrgDefaults` and `getValues`; see `Platform`."""
    kind = tx.org.catalog[type_name]
    if kind.kind is not Kind.CUSTOM_SETTING:
        raise NotModelled(f"{kind.name}.getInstance: it is no custom setting")
    if not merged:
        row = _level(tx, kind, owner or tx.org.org_id)
        if row is not None:
            return _record(kind, row)
        return None if owner is not None else _empty(kind, tx.org.org_id)
    lowest = owner or tx.user_id
    levels = [_level(tx, kind, each) for each in _hierarchy(tx, lowest)]
    rows = [row for row in levels if row is not None]
    if not rows:
        return _empty(kind, lowest)
    fields = {name: value for row in rows for name, value in row.items()}
    return _record(kind, fields)


def _hierarchy(tx: Transaction, owner: str) -> list[str]:
    """Return the levels above and at an owner, the organization's first."""
    user = tx.org.store.get("User", owner)
    if user is None:
        return [tx.org.org_id, owner]
    return [tx.org.org_id, str(user["ProfileId"]), owner]


def _level(tx: Transaction, kind: ObjectType, owner: str) -> Row | None:
    """Return one level's row."""
    for row in tx.org.store.rows(kind.name):
        if row.get("SetupOwnerId") == Id(owner):
            return row
    return None


def _record(kind: ObjectType, row: Row) -> SObject:
    """Return a row in memory."""
    return SObject(kind.name, dict(row))


def _empty(kind: ObjectType, owner: str) -> SObject:
    """Return what there is without any row: the fields' defaults, and no Id."""
    fields = {e.name: default_value(e) for e in kind.definitions.values() if e.name != "IsDeleted"}
    populated = {name: value for name, value in fields.items() if value is not None}
    return SObject(kind.name, {**populated, "SetupOwnerId": Id(owner)})
