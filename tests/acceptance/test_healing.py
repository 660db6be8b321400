"""First load and audits, told by an org that speaks the protocol and by nobody's triggers."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.changes import record_ids
from tests.reading_org import ReadingOrg
from tests.salesforce import LEAD_ID, ORG_ID, RULE, now_ms

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

OBJECTS: Final = {"Account": "001", "Contact": "003", "Lead": "00Q"}
PER_OBJECT: Final = 220
HOUR_MS: Final = 3_600_000
STORED: Final = "SELECT object, record_id, fields FROM record WHERE NOT deleted"
SENT: Final = "SELECT coalesce(sum(sent_count), 0)::bigint FROM request WHERE kind = 'load'"
COUNTS: Final = ("missing", "stale", "extra", "healed")


def fill(org: ReadingOrg) -> dict[str, list[str]]:
    """Give the org records that have not changed for a day; return their ids by object."""
    at = now_ms() - 24 * HOUR_MS
    ids = {
        sobject: list(islice(record_ids(prefix), PER_OBJECT)) for sobject, prefix in OBJECTS.items()
    }
    for sobject, own in ids.items():
        for number, record_id in enumerate(own):
            # Any of them would be enrolled, had a trigger told of it.
            state = {"Status": "Qualified", "Rating": "Hot", "Email": f"l{number}@example.com"}
            org.save(sobject, {"Id": record_id, "Name": f"half \u00f6 {number}", **state}, at)
    return ids


def change_silently(org: ReadingOrg, ids: dict[str, list[str]]) -> None:
    """Change records without a trigger, in every object: 3 new, 4 altered, 5 deleted."""
    for sobject, own in ids.items():
        for record_id in islice(record_ids(OBJECTS[sobject]), PER_OBJECT, PER_OBJECT + 3):
            org.save(sobject, {"Id": record_id, "Name": "new"}, now_ms() - HOUR_MS)
        for record_id in own[10:14]:
            org.save(sobject, {"Id": record_id, "Name": "altered"}, now_ms() - HOUR_MS)
        for place in (0, 49, 50, 100, PER_OBJECT - 1):
            org.delete(sobject, own[place], purged=place % 2 == 1)


async def until_equal(penstock: PenstockProcesses, org: ReadingOrg) -> None:
    """Return once the store holds what the org holds, record for record and field for field."""
    stored: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(30):
        while stored != org.records:
            stored = {sobject: {} for sobject in org.records}
            for row in await penstock.fetch(STORED):
                fields = msgspec.json.decode(row["fields"])
                stored[row["object"]][row["record_id"]] = fields


async def audited(penstock: PenstockProcesses, org: ReadingOrg) -> dict[str, dict[str, int]]:
    """Have the org audited to the end; return the counts that are shown, by object."""
    chosen = [option for sobject in OBJECTS for option in ("--object", sobject)]
    assert (await penstock.run("audit", ORG_ID, *chosen)).returncode == 0
    async with asyncio.timeout(30):
        while await penstock.fetch("SELECT FROM audit WHERE state <> 'done'"):
            async for _ in org.obey():
                pass
    (shown,) = (await penstock.run("audit", "show", ORG_ID, "--json")).json()
    assert (shown["state"], shown["started_by"]) == ("done", "command")
    return {one["object"]: {name: one[name] for name in COUNTS} for one in shown["objects"]}


async def test_a_load_survives_its_worker_and_audits_mend_what_no_trigger_told(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest()
    worker = await penstock.start_worker(PENSTOCK_WORKER__SWEEP_S="0.1")
    org = await ReadingOrg.connect(penstock)
    ids = fill(org)

    chosen = [option for sobject in OBJECTS for option in ("--object", sobject)]
    assert (await penstock.run("org", "load", ORG_ID, *chosen, "--no-follow")).returncode == 0
    page_count = 0
    async for _ in org.obey():
        page_count += 1
        if page_count == 5:
            while not (await penstock.fetch(SENT))[0][0]:
                pass
            await worker.kill()
        elif page_count == 9:
            await penstock.start_worker(PENSTOCK_WORKER__SWEEP_S="0.1")
    await until_equal(penstock, org)
    loads = (await penstock.run("org", "loads", ORG_ID, "--json")).json()
    assert {load["object"]: load["state"] for load in loads} == dict.fromkeys(OBJECTS, "done")
    assert {load["total_count"] for load in loads} == {PER_OBJECT}
    for nothing in ("change", "firing", "dead_letter"):
        assert not await penstock.fetch(f"SELECT FROM {nothing}"), nothing

    change_silently(org, ids)
    before = org.sent_count
    found = await audited(penstock, org)
    one = {"missing": 3, "stale": 4, "extra": 5, "healed": 12}
    assert found == dict.fromkeys(OBJECTS, one)
    assert org.sent_count - before == 12 * len(OBJECTS)
    await until_equal(penstock, org)

    before = org.sent_count
    found = await audited(penstock, org)
    assert found == dict.fromkeys(OBJECTS, dict.fromkeys(COUNTS, 0))
    assert org.sent_count == before


async def test_a_rule_on_snapshots_enrols_who_was_there_before_and_says_so(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest()
    await penstock.start_worker(PENSTOCK_WORKER__SWEEP_S="0.1")
    rule = RULE.replace("update]", "update, snapshot]").replace("changed_to", "equals")
    org = await ReadingOrg.connect(penstock, rules=rule)
    long_ago = now_ms() - 400 * 24 * HOUR_MS
    state = {"Id": LEAD_ID, "Status": "Qualified", "Rating": "Hot", "Email": "ana@example.com"}
    org.save("Lead", state, long_ago)

    for _ in range(2):
        load = ("org", "load", ORG_ID, "--object", "lead", "--no-follow")
        assert (await penstock.run(*load)).returncode == 0
        async for _ in org.obey():
            pass
    await penstock.until_counted(1, "SELECT count(*) FROM enrollment")
    (enrollment,) = (await penstock.run("enrollments", "list", "--json")).json()
    explained = (await penstock.run("explain", str(enrollment["id"]))).stdout.decode()
    assert f"fired on the snapshot of Lead {LEAD_ID}:" in explained
    assert "a load or an audit read it so; no trigger told of it" in explained
    assert "Status 'Qualified' equals 'Qualified'" in explained
    record = (await penstock.run("explain", LEAD_ID)).stdout.decode()
    assert "its newest state was read at" in record
    assert "enrolment 1: ana@example.com in 'nurture', pending" in record
