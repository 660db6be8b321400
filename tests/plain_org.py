"""An org that runs the real Apex package, connected to a plain ingest."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from tests.apex_runtime.org.org import Org
from tests.plain_ingest import SECRET
from tests.salesforce_org import ENDPOINT, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.values import Id
    from tests.plain_ingest import PlainIngest

RECORDS: Final[dict[str, dict[str, Any]]] = {
    "Account": {"Name": "Acme"},
    "Contact": {"LastName": "Berg"},
    "Event": {"Subject": "Visit", "DurationInMinutes": 30},
    "Lead": {"LastName": "Berg", "Company": "Acme", "Email": "ana@example.com"},
    "Opportunity": {"Name": "Big", "StageName": "Won", "CloseDate": dt.date(2026, 5, 1)},
    "Task": {"Subject": "Call"},
}
SOBJECTS: Final = (*RECORDS, "User")


def deployed(ingest: PlainIngest, **options: Any) -> Org:
    """Return an org with the package, whose remote site leads to the ingest."""
    org = Org.deploy(PACKAGE, **options)
    org.add_remote_site(ENDPOINT)
    org.route(ENDPOINT, ingest.url)
    return org


def connect(org: Org) -> None:
    """Connect, and run what that starts."""
    anonymous(org, f"Penstock.connect('{ENDPOINT}', '{SECRET}');")
    org.run_until_idle()


def anonymous(org: Org, line: str) -> None:
    """Run a line of anonymous Apex as an administrator."""
    with org.transaction() as admin:
        admin.anonymous(line)


def heartbeat(org: Org) -> None:
    """Run the line that asks at once, and what comes of it."""
    anonymous(org, "Penstock.heartbeat();")
    org.run_until_idle()


def filled(org: Org, name: str, count: int, **fields: Any) -> list[Id]:
    """Add records that nobody told ingest of."""
    outcomes = org.bulk_load("insert", name, [{**RECORDS[name], **fields}] * count)
    assert all(each.success for each in outcomes), outcomes[0]
    return [each.record_id for each in outcomes if each.record_id is not None]


def set_row(org: Org, record_id: Id, **fields: Any) -> None:
    """Change a row as no user can."""
    kind = org.catalog.of_id(record_id)
    assert kind is not None
    row = org.store.get(kind.name, record_id)
    assert row is not None
    org.store.put(kind.name, record_id, {**row, **fields})
    org.store.commit()


def ids(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the ids of records as callouts have them."""
    return [each["Id"] for each in records]
