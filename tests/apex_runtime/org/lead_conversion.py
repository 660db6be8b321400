"""Lead conversion, as the user interface and `Database.convertLead` do it.

Triggers and validation rules take part only where the org's "Require Validation for Converted
Leads" is on. Source: Apex Developer Guide, apex_triggers_ignoring_operations.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

from tests.apex_runtime.org import saving
from tests.apex_runtime.org.triggers import Entry
from tests.apex_runtime.values import Id, SObject, throw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.values import Value

_STATUS = "Closed - Converted"


class ConvertedLead(NamedTuple):
    """The ids of what a lead became."""

    account_id: Id
    contact_id: Id
    opportunity_id: Id | None


def convert_lead(tx: Transaction, lead_id: Id, opportunity: str | None) -> ConvertedLead:
    """Insert account, contact and perhaps an opportunity, then update the lead."""
    lead = tx.org.store.get("Lead", lead_id)
    if lead is None or lead.get("IsConverted") or lead.get("IsDeleted"):
        throw("DmlException", f"CANNOT_UPDATE_CONVERTED_LEAD, {lead_id} can not be converted")
    account_id = _insert(tx, "Account", {"Name": lead["Company"], "OwnerId": lead["OwnerId"]})
    names = ("Salutation", "FirstName", "LastName", "Email", "Phone", "Title", "OwnerId")
    person = {name: lead[name] for name in names if name in lead}
    contact_id = _insert(tx, "Contact", {**person, "AccountId": account_id})
    opportunity_id = None
    if opportunity is not None:
        fields: dict[str, Value] = {"Name": opportunity, "AccountId": account_id}
        fields |= {"StageName": "Prospecting", "CloseDate": _quarter_end(tx.now_ms())}
        opportunity_id = _insert(tx, "Opportunity", fields)
    converted: dict[str, Value] = {
        "IsConverted": True,
        "Status": _STATUS,
        "ConvertedDate": _date(tx.now_ms()),
        "ConvertedAccountId": account_id,
        "ConvertedContactId": contact_id,
    }
    if opportunity_id is not None:
        converted["ConvertedOpportunityId"] = opportunity_id
    _convert(tx, lead_id, converted)
    return ConvertedLead(account_id, contact_id, opportunity_id)


def _insert(tx: Transaction, type_name: str, fields: Mapping[str, Value]) -> Id:
    """Insert what a lead becomes, without triggers where the org does not validate."""
    record = SObject(type_name, dict(fields))
    with tx.triggers.silent(unless=tx.org.validates_converted_leads):
        (outcome,) = tx.dml("insert", [record], all_or_none=True)
    assert outcome.record_id is not None
    return outcome.record_id


def _convert(tx: Transaction, lead_id: Id, converted: Mapping[str, Value]) -> None:
    """Write the lead's read-only fields, between its update triggers."""
    kind = tx.org.catalog["Lead"]
    given = SObject(kind.name, {"Id": lead_id})
    entry = Entry(0, given, given, record_id=lead_id)
    saving.find(tx, kind, entry)
    entry.record = SObject(kind.name, {**(entry.before or {}), **converted})
    with tx.triggers.silent(unless=tx.org.validates_converted_leads):
        saving.update_found(tx, kind, [entry], all_or_none=True)
    if entry.errors:
        throw("DmlException", f"ConvertLead failed. {entry.errors[0][0]}, {entry.errors[0][1]}")


def _date(now_ms: int) -> dt.date:
    return dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC).date()


def _quarter_end(now_ms: int) -> dt.date:
    """Return the last day of the quarter, when a converted lead's opportunity closes."""
    today = _date(now_ms)
    month = (today.month - 1) // 3 * 3 + 3
    following = dt.date(today.year + month // 12, month % 12 + 1, 1)
    return following - dt.timedelta(days=1)
