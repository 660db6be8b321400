"""Rules that look up other records, through real processes, one of them killed in mid-sweep."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.changes import record_ids
from tests.integration.workers.lookups.org import INDUSTRY, account, contact
from tests.salesforce import Salesforce, callout, now_ms

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

FIRINGS = "SELECT count(*) FROM firing"
CHANGES = "SELECT count(*) FROM change"
CHILD_COUNT = 3000


async def test_children_and_parents_find_each_other_whoever_comes_first_and_whatever_is_killed(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest()
    worker = await penstock.start_worker()
    org = await Salesforce.connect(penstock, rules=INDUSTRY)

    # A child before its parent: it fires within about a second of the parent's commit.
    await org.accepted(callout([{"new": contact()}], object="Contact", operation="insert"))
    await penstock.until_counted(1, "SELECT count(*) FROM waiting")
    await org.accepted(callout([{"new": account("Tech")}], object="Account", operation="insert"))
    started = time.monotonic()
    await penstock.until_counted(1, FIRINGS)
    assert time.monotonic() - started < 3
    await penstock.until_counted(0, "SELECT count(*) FROM waiting")

    # Thousands of children, and a worker that dies in the middle of asking about them.
    bank = account("Bank")
    await org.accepted(
        callout([{"old": account("Tech"), "new": bank}], object="Account", captured_at=now_ms() + 1)
    )
    ids = record_ids("003")
    children = [contact(Id=next(ids), Email=f"c{n}@example.com") for n in range(CHILD_COUNT)]
    for start in range(0, CHILD_COUNT, 500):
        batch = [{"new": child} for child in children[start : start + 500]]
        await org.accepted(callout(batch, object="Contact", operation="insert"))
    await penstock.until_counted(CHILD_COUNT + 3, CHANGES)
    assert (await penstock.fetch(FIRINGS))[0][0] == 1

    await org.accepted(
        callout([{"old": bank, "new": account("Tech")}], object="Account", captured_at=now_ms() + 2)
    )
    async with asyncio.timeout(30):
        while (await penstock.fetch(FIRINGS))[0][0] == 1:
            pass
    await worker.kill()
    assert (await penstock.fetch(FIRINGS))[0][0] < CHILD_COUNT, "it was in the middle of it"
    await asyncio.gather(penstock.start_worker("lead"), penstock.start_worker("contact"))
    # The first child once more: for it, too, the account became Tech.
    await penstock.until_counted(CHILD_COUNT + 2, FIRINGS)
    await penstock.until_counted(0, "SELECT count(*) FROM reevaluation")
    assert (await penstock.fetch("SELECT count(*) FROM outbox"))[0][0] == CHILD_COUNT + 1
