"""From callout to enrolment, once, in any order, through real processes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout, now_ms

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

OPEN: dict[str, Any] = {
    "Id": LEAD_ID,
    "Status": "Open",
    "Rating": "Hot",
    "Email": "Ana@Example.com",
}
QUALIFIED = {**OPEN, "Status": "Qualified"}
BOUGHT = {**QUALIFIED, "Status": "Customer", "AnnualRevenue": 12.50}

CHANGES = "SELECT count(*) FROM change"


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    await penstock.start_ingest()
    await penstock.start_worker()
    return await Salesforce.connect(penstock)


async def test_a_lead_that_a_rule_matches_is_enrolled_once(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    await org.accepted(callout([{"new": OPEN}], operation="insert"))
    await org.accepted(callout([{"old": OPEN, "new": QUALIFIED}]))

    await penstock.until_counted(2, CHANGES)
    (enrollment,) = (await penstock.run("enrollments", "list", "--json")).json()
    assert enrollment["sequence"] == "nurture"
    assert enrollment["recipient"] == "ana@example.com"
    assert enrollment["rule"] == "hot-leads-to-nurture"
    assert enrollment["record_id"] == LEAD_ID
    assert len(await penstock.fetch("SELECT * FROM outbox")) == 1


async def test_the_same_callout_twenty_times_has_its_effects_once(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    update = callout([{"old": OPEN, "new": QUALIFIED}])
    for _ in range(5):
        await org.accepted(update)
    await asyncio.gather(*(org.accepted(update) for _ in range(15)))
    # What comes last is processed last: once it is there, all before it has been.
    await org.accepted(callout([{"old": QUALIFIED, "new": BOUGHT}]))

    await penstock.until_counted(2, CHANGES)
    for table in ("record", "firing", "enrollment", "outbox"):
        assert len(await penstock.fetch(f"SELECT * FROM {table}")) == 1, table  # noqa: S608


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_the_end_state_does_not_depend_on_the_order_of_arrival(
    penstock: PenstockProcesses, org: Salesforce, order: tuple[int, ...]
) -> None:
    start = now_ms() - 10_000
    history = [
        callout([{"new": OPEN}], operation="insert", captured_at=start),
        callout([{"old": OPEN, "new": QUALIFIED}], captured_at=start + 1000),
        callout([{"old": QUALIFIED, "new": BOUGHT}], captured_at=start + 2000),
    ]
    for count, index in enumerate(order, 1):
        await org.accepted(history[index])
        await penstock.until_counted(count, CHANGES)

    record = (await penstock.run("record", "show", ORG_ID, "Lead", LEAD_ID, "--json")).json()
    assert record["fields"] == BOUGHT
    assert record["deleted"] is False
    assert [change["captured_at"] for change in record["changes"]] == [
        start,
        start + 1000,
        start + 2000,
    ]
    (enrollment,) = (await penstock.run("enrollments", "list", "--json")).json()
    assert (enrollment["recipient"], enrollment["state"]) == ("ana@example.com", "pending")
