"""Replays by the real command, killed amid; and what `explain` says of what came twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from aiohttp.test_utils import TestServer

from tests.changes import record_ids
from tests.salesforce import LEAD_ID, Salesforce, callout
from tests.webhook import Webhooks

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

CHANGES: Final = "SELECT count(*) FROM change"
FIRINGS: Final = "SELECT count(*) FROM firing"
SECRET: Final = "whsec_" + "c2VjcmV0IG9mIHRoZSB0YXJnZXQgb2YgdGhlIHRlc3Q="
NEW_RULE: Final = """\
rule: new-rule
object: Lead
on: [insert]
when: [{field: Status, equals: Qualified}]
then: [{add_to_sequence: nurture, recipient: Email}]
"""
# What is to be the same after a loss, without numbers and times of the database's own.
STATE: Final = (
    "SELECT to_jsonb(record) FROM record ORDER BY record_id",
    "SELECT to_jsonb(change) - 'persisted_at' FROM change ORDER BY capture_id, record_id",
    """SELECT enrollment.sequence, recipient, state, generation, rule, capture_id, variables
       FROM enrollment JOIN firing USING (org_id, firing_id) ORDER BY recipient""",
    "SELECT idempotency_key, kind, target FROM outbox ORDER BY 1",
)


@pytest.fixture
async def org(penstock: PenstockProcesses) -> Salesforce:
    await penstock.start_ingest()
    return await Salesforce.connect(penstock)


def leads(count: int) -> list[dict[str, Any]]:
    return [
        {
            "Id": record_id,
            "Status": "Qualified" if number % 2 else "Open",
            "Email": f"lead{number}@example.com",
        }
        for number, record_id in zip(range(count), record_ids(), strict=False)
    ]


async def test_a_new_rule_enrols_by_300_old_changes_once_each_though_its_replay_is_killed(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    await penstock.start_worker()
    for lead in leads(300):
        await org.accepted(callout([{"new": lead}], operation="insert"))
    await penstock.until_counted(300, CHANGES)
    assert (await penstock.run("rules", "apply", "-", stdin=NEW_RULE)).returncode == 0

    command = ("--since", "7d", "--rule", "new-rule")
    plan = (await penstock.run("replay", *command, "--json")).json()
    assert plan["total_count"] == 300
    assert plan["trials"][0]["rules"][0]["additions"][0]["enrolments"] == 150
    assert await penstock.fetch("SELECT FROM firing") == []

    replay = await penstock.launch("replay", "WORKER", {}, *command, "--apply", "--rate", "60")
    async with asyncio.timeout(30):
        while not (await penstock.fetch(FIRINGS))[0][0]:
            pass
    await replay.kill()
    (run,) = (await penstock.run("runs", "list", "--json")).json()
    assert 0 < run["done_count"] < 300
    resumed = (await penstock.run("runs", "resume", str(run["id"]), "--json")).json()
    assert (resumed["state"], resumed["done_count"]) == ("finished", 300)

    enrolled = await penstock.fetch("SELECT recipient, generation FROM enrollment")
    expected = sorted(f"lead{number}@example.com" for number in range(1, 300, 2))
    assert sorted(map(tuple, enrolled)) == [(recipient, 1) for recipient in expected]
    assert len(await penstock.fetch("SELECT FROM outbox")) == 150

    again = (await penstock.run("replay", *command, "--apply", "--json")).json()
    assert (again["run"]["done_count"], again["outcome"]["fired_count"]) == (300, 0)
    assert len(await penstock.fetch("SELECT FROM firing")) == 150

    (first, *_) = (await penstock.run("enrollments", "list", "--json")).json()
    explained = await penstock.run("explain", str(first["id"]))
    assert f"saw the stored change again in run {run['id']} of " in explained.stdout.decode()


async def test_after_a_loss_of_the_database_the_callouts_of_the_log_bring_all_of_it_back(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    worker = await penstock.start_worker()
    for lead in leads(30):
        opened = {**lead, "Status": "Open", "Rating": "Hot"}
        await org.accepted(callout([{"new": opened}], operation="insert"))
        await org.accepted(callout([{"old": opened, "new": {**opened, "Status": lead["Status"]}}]))
    await penstock.until_counted(60, CHANGES)
    before = [await penstock.fetch(query) for query in STATE]
    assert len(before[2]) == 15
    await worker.kill()
    await penstock.fetch("TRUNCATE change, record, firing, enrollment, outbox CASCADE")

    await penstock.start_worker()
    done = (await penstock.run("replay", "--callouts", "--since", "1h", "--apply", "--json")).json()
    assert done["run"]["state"] == "finished"
    await penstock.until_counted(60, CHANGES)
    assert [await penstock.fetch(query) for query in STATE] == before
    explained = await penstock.run("explain", leads(1)[0]["Id"])
    assert f"published again by run {done['run']['id']} of " in explained.stdout.decode()


async def test_explain_names_every_stage_of_a_change_whose_worker_was_killed_amid(
    penstock: PenstockProcesses, org: Salesforce
) -> None:
    lead = {"Id": LEAD_ID, "Status": "Open", "Rating": "Hot", "Email": "ana@example.com"}
    blocker = await asyncpg.connect(penstock.environment["PENSTOCK_DATABASE__URL"])
    try:
        await blocker.execute("BEGIN; LOCK TABLE record IN ACCESS EXCLUSIVE MODE")
        worker = await penstock.start_worker("lead")
        await org.accepted(callout([{"old": lead, "new": {**lead, "Status": "Qualified"}}]))
        async with asyncio.timeout(20):
            while not await blocker.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                pass
        await worker.kill()
    finally:
        await blocker.close()
    async with TestServer(Webhooks(SECRET).app) as target:
        await penstock.start_relay(
            PENSTOCK_RELAY__WEBHOOK_URL=str(target.make_url("/hook")),
            PENSTOCK_RELAY__WEBHOOK_SECRET=SECRET,
        )
        await penstock.start_worker("lead")
        await penstock.until_counted(1, "SELECT count(*) FROM outbox WHERE state = 'delivered'")
    (enrollment,) = (await penstock.run("enrollments", "list", "--json")).json()
    found = (await penstock.run("explain", str(enrollment["id"]), "--json")).json()
    stages = [stage["stage"] for stage in found["stages"]]
    assert stages[:7] == [
        "captured in Salesforce",
        "received by ingest",
        "delivered again (2)",
        "persisted by a worker",
        "rule fired",
        "put into the outbox",
        "enrolled",
    ]
    assert stages[-1] == "settled by the relay"
    times = [stage["at"] for stage in found["stages"] if stage["stage"] != "committed"]
    assert times == sorted(times)
    assert found["change"]["deliveries"] == 2
    told = (await penstock.run("explain", LEAD_ID)).stdout.decode()
    assert "handed to a worker 2 times" in told
