"""Fields that the platform fills by itself when a record is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.apex_runtime.org.schema import FieldType, Kind
from tests.apex_runtime.values import ApexDatetime, Id

if TYPE_CHECKING:
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.store import Store
    from tests.apex_runtime.values import Value

_MINUTE_MS: Final = 60_000
_CLOSED_STAGES: Final = frozenset({"Closed Won", "Closed Lost"})


def stamp(
    fields: dict[str, Value], kind: ObjectType, user_id: str, now_ms: int, *, created: bool
) -> None:
    """Set who saved the record and when; all three moments are whole seconds."""
    moment = ApexDatetime(now_ms - now_ms % 1000)
    if created:
        fields["CreatedDate"] = moment
        fields["CreatedById"] = Id(user_id)
    if kind.kind is not Kind.EVENT:
        fields["LastModifiedDate"] = fields["SystemModstamp"] = moment
        fields["LastModifiedById"] = Id(user_id)


def derive(kind: ObjectType, fields: dict[str, Value], store: Store) -> None:
    """Compute what follows from other fields of a record about to be stored."""
    for each in kind.definitions.values():
        if each.type is FieldType.AUTO_NUMBER and each.name not in fields:
            number = store.next_number(f"{kind.name}.{each.name}")
            fields[each.name] = _numbered(each.default or "{0}", number)
    match kind.name:
        case "Lead" | "Contact" | "User":
            fields["Name"] = _person_name(fields)
        case "Account":
            fields["IsPersonAccount"] = fields.get("LastName") is not None
            if fields["IsPersonAccount"]:
                fields["Name"] = _person_name(fields)
        case "Opportunity":
            stage = fields.get("StageName")
            fields["IsClosed"] = stage in _CLOSED_STAGES
            fields["IsWon"] = stage == "Closed Won"
        case "Task":
            fields["IsClosed"] = fields.get("Status") == "Completed"
            _account_of_activity(fields, store)
        case "Event":
            _times_of_event(fields)
            _account_of_activity(fields, store)
        case _:
            pass


def _numbered(display_format: str, number: int) -> str:
    """Return `PR-00007` for the format `PR-{00000}`."""
    before, _, rest = display_format.partition("{")
    zeros, _, after = rest.partition("}")
    return f"{before}{number:0{len(zeros)}d}{after}"


def _person_name(fields: dict[str, Value]) -> str:
    """Return first and last name; the salutation is no part of it."""
    return " ".join(str(fields[n]) for n in ("FirstName", "LastName") if fields.get(n))


def _account_of_activity(fields: dict[str, Value], store: Store) -> None:
    """Set AccountId from what the activity is related to, else from its contact."""
    fields.pop("AccountId", None)
    for name, parent in (("WhatId", "Opportunity"), ("WhoId", "Contact")):
        row = store.get(parent, str(fields.get(name)))
        if row is not None and row.get("AccountId"):
            fields["AccountId"] = row["AccountId"]
    if store.get("Account", str(fields.get("WhatId"))) is not None:
        fields["AccountId"] = fields["WhatId"]


def _times_of_event(fields: dict[str, Value]) -> None:
    """Complete an event's start, end, date and duration from those given."""
    start = fields.get("StartDateTime") or fields.get("ActivityDateTime")
    if not isinstance(start, ApexDatetime):
        return
    fields["StartDateTime"] = fields["ActivityDateTime"] = start
    fields["ActivityDate"] = start.utc.date()
    end, duration = fields.get("EndDateTime"), fields.get("DurationInMinutes")
    if isinstance(duration, int):
        fields["EndDateTime"] = ApexDatetime(start.ms + duration * _MINUTE_MS)
    elif isinstance(end, ApexDatetime):
        fields["DurationInMinutes"] = (end.ms - start.ms) // _MINUTE_MS
