"""A person account is an account and a contact in one; only the account's triggers fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.org.schema import FieldType
from tests.apex_runtime.values import Id

if TYPE_CHECKING:
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import Value


def contact_behind(tx: Transaction, account: Row) -> Id:
    """Write the contact behind a person account, for which no trigger fires; return its id."""
    kind = tx.org.catalog["Contact"]
    contact_id = Id(str(account.get("PersonContactId") or tx.org.store.new_id(kind.prefix)))
    same = ("Salutation", "FirstName", "LastName", "Name", "OwnerId", "Phone", "Fax", "CreatedDate")
    audit = ("CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
    row = {name: account[name] for name in (*same, *audit) if name in account}
    row |= {
        n.removeprefix("Person"): v
        for n, v in account.items()
        if n.startswith("Person") and n.removeprefix("Person") in kind.fields
    }
    checkboxes = (f.name for f in kind.definitions.values() if f.type is FieldType.CHECKBOX)
    defaults: dict[str, Value] = dict.fromkeys(checkboxes, False)
    own = {"Id": contact_id, "AccountId": account["Id"], "IsPersonAccount": True}
    tx.org.store.put(kind.name, contact_id, {**defaults, **row, **own})
    return contact_id
