"""An org with records in it: what happens there without triggers, and how the store compares."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tests.apex_runtime.values import ApexDatetime, Id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.values import Value
    from tests.processes import PenstockProcesses

OBJECTS: Final = ("User", "Account", "Contact", "Lead", "Opportunity", "Task", "Event")
_STORED: Final = """
    SELECT object, record_id, fields::text AS fields FROM record
    WHERE org_id = $1 AND NOT deleted"""
_TABLE_ROWS_A_SAVE: Final = 200
# Values that the store has as Apex prints them; parents that were queried along are none.
_UNCOMPARED: Final = frozenset({"attributes"})


def people(org: Org, count: int) -> None:
    """Fill an org that is not connected yet: a share of `count` for each object but User."""
    accounts = _inserted(org, "Account", count // 10, lambda n: {"Name": f"Acme {n}"})
    contacts = _inserted(
        org,
        "Contact",
        count * 3 // 10,
        lambda n: {"LastName": f"Doe {n}", "AccountId": accounts[n % len(accounts)]},
    )
    _inserted(
        org,
        "Lead",
        count * 3 // 10,
        lambda n: {"LastName": f"Roe {n}", "Company": "Acme", "Email": f"roe{n}@example.com"},
    )
    _inserted(
        org,
        "Opportunity",
        count // 10,
        lambda n: {
            "Name": f"Deal {n}",
            "StageName": "Prospecting",
            "CloseDate": dt.date(2026, 12, 1 + n % 28),
            "AccountId": accounts[n % len(accounts)],
            "Amount": Decimal(n) + Decimal("0.25"),
        },
    )
    _inserted(
        org,
        "Task",
        count // 10,
        lambda n: {"Subject": f"Call {n}", "WhoId": contacts[n % len(contacts)]},
    )
    start = ApexDatetime(org.clock.now_ms // 1000 * 1000)
    _inserted(
        org,
        "Event",
        count - count // 10 * 3 - count * 3 // 10 * 2,
        lambda n: {"Subject": f"Meet {n}", "ActivityDateTime": start, "DurationInMinutes": 30},
    )
    org.run_until_idle()


def change_silently(org: Org, object_name: str, record_ids: Iterable[Id], **fields: Value) -> None:
    """Change records as a mass transfer does: no trigger fires, SystemModstamp moves."""
    for record_id in record_ids:
        row = org.store.get(object_name, record_id)
        assert row is not None
        org.store.put(object_name, record_id, {**row, **fields, "SystemModstamp": now(org)})
    org.store.commit()


def delete_silently(org: Org, object_name: str, record_ids: Iterable[Id]) -> None:
    """Delete records as a cascade does."""
    change_silently(org, object_name, record_ids, IsDeleted=True)


def empty_recycle_bin(org: Org, object_name: str, record_ids: Iterable[Id]) -> None:
    """Remove deleted records for good."""
    for record_id in record_ids:
        org.store.remove(object_name, record_id)
    org.store.commit()


def now(org: Org) -> ApexDatetime:
    """Return the org's time as it is stored: to the second."""
    return ApexDatetime(org.clock.now_ms // 1000 * 1000)


def ids(org: Org, object_name: str) -> list[Id]:
    """Return the ids of an object's records, in their order."""
    return sorted(Id(str(row["Id"])) for row in org.store.rows(object_name))


async def differences(org: Org, penstock: PenstockProcesses) -> list[str]:
    """Return how the store differs from the org, record for record and field for field."""
    rows = await penstock.fetch(_STORED, org.org_id)
    stored = {(row["object"], row["record_id"]): row["fields"] for row in rows}
    found = []
    for key, expected in _expected(org):
        text = stored.pop(key, None)
        if text is None:
            found.append(f"{key} is missing")
            continue
        fields = json.loads(text, parse_float=Decimal)
        told = {name: value for name, value in fields.items() if name not in _UNCOMPARED}
        if told != expected:
            names = {name for name in {**told, **expected} if told.get(name) != expected.get(name)}
            found.append(f"{key} differs in {sorted(names)}")
    return [*found, *(f"{key} is not in the org" for key in stored)]


def _expected(org: Org) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for object_name in OBJECTS:
        for row in org.store.rows(object_name):
            fields = {name: _as_json(value) for name, value in row.items() if value is not None}
            yield (object_name, str(row["Id"])), fields


def _as_json(value: Value) -> Any:  # noqa: ANN401  whatever JSON holds
    match value:
        case ApexDatetime():
            moment = dt.datetime.fromtimestamp(value.ms / 1000, dt.UTC)
            return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.ms % 1000:03d}+0000"
        case dt.date():
            return value.isoformat()
        case float():
            return Decimal(repr(value))
        case _:
            return value


def _inserted(org: Org, object_name: str, count: int, make: Any) -> list[Id]:  # noqa: ANN401  a callable
    record_ids: list[Id] = []
    for first in range(0, count, _TABLE_ROWS_A_SAVE):
        with org.transaction() as save:
            rows = [make(n) for n in range(first, min(first + _TABLE_ROWS_A_SAVE, count))]
            saved = save.insert(object_name, *rows)
            record_ids += [Id(str(outcome.record_id)) for outcome in saved]
    return record_ids
