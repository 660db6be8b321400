"""First load and audits: the real package walks through an org, and the store comes to equal it.

`RECORDS=50000 make test ARGS='-s tests/acceptance/apex/test_healing.py --timeout=3600'` tells the
story of an org of that size.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from tests.apex_runtime.org.callouts import Fault
from tests.peopled_org import (
    OBJECTS,
    change_silently,
    delete_silently,
    differences,
    empty_recycle_bin,
    ids,
    people,
)
from tests.salesforce import SYNC_USER_ID
from tests.salesforce_org import ENDPOINT, connect, deployed_org, line_of
from tests.salesforce_outage import Spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.org import Org
    from tests.processes import PenstockProcesses, Running

RECORD_COUNT: Final = int(os.environ.get("RECORDS", "1500"))
WAIT_S: Final = 20 + RECORD_COUNT / 200
WALK: Final = "PenstockWalk"
TOLD: Final = "SELECT sum(sent_count) FROM request WHERE kind = 'load'"
RESENT: Final = "SELECT count(*) FROM request WHERE kind = 'resend'"
UNDONE: Final = "SELECT count(*) FROM audit WHERE state <> 'done'"
FOUND_AGAIN: Final = """
    SELECT object, record_id, kind, modstamp, stored_at FROM audit_finding
    WHERE audit_id = (SELECT max(audit_id) FROM audit)"""
WAITING: Final = "SELECT count(*) FROM request WHERE state = 'open'"


@pytest.fixture
async def org(penstock: PenstockProcesses, ingest: Running) -> Org:
    """An org that had its records for two hours when it was connected."""
    assert ingest.pid
    org = deployed_org(penstock, start_ms=time.time_ns() // 1_000_000 - 125 * 60_000)
    people(org, RECORD_COUNT)
    follow_time(org)
    penstock.environment["PENSTOCK_INGEST__PUBLIC_URL"] = ENDPOINT
    added = await penstock.run("org", "add", org.org_id, "--sync-user", SYNC_USER_ID)
    connect(org, line_of(added.stdout.decode()))
    return org


def follow_time(org: Org) -> None:
    """Set the org's clock somewhat behind the real time, which it passes as a walk looks again."""
    org.clock.now_ms = max(org.clock.now_ms, time.time_ns() // 1_000_000 - 4 * 60_000)


def look(org: Org) -> None:
    """Run the line that has the package ask what it is asked for."""
    with org.transaction() as admin:
        admin.anonymous("Penstock.heartbeat();")
    org.run_until_idle()


async def test_an_interrupted_load_goes_on_and_audits_find_what_no_trigger_told(
    penstock: PenstockProcesses, ingest: Running, org: Org
) -> None:
    worker = await penstock.start_worker()
    spent, began = Spent(org), time.monotonic()
    assert (await penstock.run("org", "load", org.org_id)).returncode == 0
    forty_percent = RECORD_COUNT * 2 // 5 // 200

    def strike() -> None:
        for process in (ingest, worker):
            os.kill(process.pid, signal.SIGKILL)

    org.fault(Fault(before=lambda: follow_time(org)), forty_percent)
    org.fault(Fault(before=strike))
    org.fault(Fault(before=lambda: follow_time(org)), RECORD_COUNT)
    look(org)
    assert org.queue.abort(WALK) == 1
    port = str(urlsplit(penstock.ingest_url).port)
    await penstock.start_ingest(PENSTOCK_INGEST__PORT=port)
    worker = await penstock.start_worker()
    loaded = (await penstock.fetch(TOLD))[0]["sum"]
    assert 0 < loaded < RECORD_COUNT * 0.6

    look(org)
    await walk_until(org, penstock, 0, WAITING)
    await until_equal(org, penstock)
    say(org, spent, began, "load, interrupted at 40 %")

    contacts, leads, deals = ids(org, "Contact"), ids(org, "Lead"), ids(org, "Opportunity")
    few = max(len(contacts) // 110, 5)
    delete_silently(org, "Contact", contacts[:: len(contacts) // few][:few])
    empty_recycle_bin(org, "Contact", contacts[:1])
    change_silently(org, "Lead", leads[: RECORD_COUNT // 27], Company="Moved")
    lose_saves(org, deals)
    assert len(await differences(org, penstock)) >= RECORD_COUNT // 27

    spent, began = Spent(org), time.monotonic()
    await audit(org, penstock)
    assert await differences(org, penstock) == []
    say(org, spent, began, "audit")
    resent = (await penstock.fetch(RESENT))[0]["count"]
    assert resent >= 3
    await audit(org, penstock)
    assert await penstock.fetch(FOUND_AGAIN) == []
    assert (await penstock.fetch(RESENT))[0]["count"] == resent
    assert org.api_requests == 0
    assert (await penstock.fetch("SELECT count(*) FROM dead_letter"))[0]["count"] == 0


async def audit(org: Org, penstock: PenstockProcesses) -> None:
    """Have the org audited until the audit is done: it looks once more after a minute."""
    assert (await penstock.run("audit", org.org_id)).returncode == 0
    look(org)

    await walk_until(org, penstock, 0, UNDONE)


async def walk_until(org: Org, penstock: PenstockProcesses, count: int, query: str) -> None:
    """Let the org's time pass, in which the package looks once more, until a query counts so."""
    async with asyncio.timeout(WAIT_S):
        while (await penstock.fetch(query))[0]["count"] != count:
            await asyncio.sleep(0.2)
            org.advance(minutes=0.1)


def lose_saves(org: Org, record_ids: Sequence[str]) -> None:
    """Save some records, and lose what their triggers wanted to send."""
    for record_id in record_ids[: max(50 * RECORD_COUNT // 50_000, 3)]:
        with org.transaction() as save:
            save.update("Opportunity", {"Id": record_id, "StageName": "Closed Won"})
    assert org.queue.abort("PenstockSend") >= 1


async def until_equal(org: Org, penstock: PenstockProcesses) -> None:
    """Return once the store equals the org, record for record and field for field."""
    deadline = time.monotonic() + WAIT_S
    while found := await differences(org, penstock):
        assert time.monotonic() < deadline, found[:10]
        await asyncio.sleep(0.2)


def say(org: Org, spent: Spent, began: float, what: str) -> None:
    """Print what a walk cost."""
    thousands = RECORD_COUNT / 1000
    print(  # noqa: T201  the figures that the size above is for
        f"{what}: {RECORD_COUNT} records of {len(OBJECTS)} objects,"
        f" {spent.jobs / thousands:.2f} asynchronous executions and"
        f" {spent.callouts / thousands:.2f} callouts per 1,000 records,"
        f" {org.api_requests} API calls, {time.monotonic() - began:.0f} s"
    )
