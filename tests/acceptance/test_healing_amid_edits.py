"""A load and audits of an org whose people go on working: no record regresses, none is buried."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.changes import record_ids
from tests.editing_org import EditingOrg
from tests.salesforce import ORG_ID, now_ms

if TYPE_CHECKING:
    from tests.processes import PenstockProcesses

PREFIXES: Final = {"Account": "001", "Contact": "003", "Lead": "00Q"}
PER_OBJECT: Final = 1000
DAY_MS: Final = 24 * 3_600_000
CHOSEN: Final = [option for sobject in PREFIXES for option in ("--object", sobject)]
STORED: Final = "SELECT object, record_id, deleted, fields FROM record"
# Of two edits of one record, two workers may write the later first: it looks like a gap until the
# time to fill it is over.
COME_DUE: Final = "UPDATE gap SET due_at = clock_timestamp()"
GAPS: Final = "SELECT count(*) FROM gap WHERE state <> 'filled'"
# What was deleted when a page was read may have been brought back since.
WRONGLY_GONE: Final = """
    SELECT count(*) FROM audit_finding
    WHERE kind = 'extra' AND NOT EXISTS (
        SELECT FROM change
        WHERE change.record_id = audit_finding.record_id AND operation = 'delete')"""


def fill(org: EditingOrg) -> None:
    """Give the org records that have not changed for a day."""
    for sobject, prefix in PREFIXES.items():
        for number, record_id in enumerate(islice(record_ids(prefix), PER_OBJECT)):
            state = {"Id": record_id, "Status": "Open", "Email": f"l{number}@example.com"}
            org.save(sobject, state, now_ms() - DAY_MS)


async def audit(penstock: PenstockProcesses, org: EditingOrg) -> dict[str, Any]:
    """Have the org audited to the end; return what is shown of it."""
    assert (await penstock.run("audit", ORG_ID, *CHOSEN)).returncode == 0
    async with asyncio.timeout(60):
        while await penstock.fetch("SELECT FROM audit WHERE state <> 'done'"):
            async for _ in org.obey():
                pass
    (shown,) = (await penstock.run("audit", "show", ORG_ID, "--json")).json()
    assert shown["state"] == "done"
    return dict(shown)


async def kept(penstock: PenstockProcesses) -> tuple[dict[str, Any], set[str]]:
    """Return the stored states by object and id, and the ids of tombstones."""
    stored: dict[str, Any] = {sobject: {} for sobject in PREFIXES}
    tombstones = set()
    for row in await penstock.fetch(STORED):
        if row["deleted"]:
            tombstones.add(row["record_id"])
        else:
            stored[row["object"]][row["record_id"]] = msgspec.json.decode(row["fields"])
    return stored, tombstones


async def test_edits_at_full_rate_while_an_org_is_read_end_in_what_the_org_has(
    penstock: PenstockProcesses,
) -> None:
    await penstock.start_ingest()
    for _ in range(2):
        await penstock.start_worker(PENSTOCK_WORKER__SWEEP_S="0.1")
    org = await EditingOrg.connect(penstock)
    fill(org)

    async with org.edited(PREFIXES):
        load = await penstock.run("org", "load", ORG_ID, *CHOSEN, "--no-follow")
        assert load.returncode == 0
        async for _ in org.obey():
            pass
        audited = await audit(penstock, org)
        await org.until_accepted(200)
    assert org.accepted_count > 1000
    assert sum(one["compared_count"] for one in audited["objects"]) > PER_OBJECT * len(PREFIXES)

    await penstock.until_counted(org.accepted_count, "SELECT count(*) FROM change")
    deleted = {record_id for gone in org.deleted.values() for record_id in gone}
    async with asyncio.timeout(30):
        while (await kept(penstock))[0] != org.records:
            pass
    # Of those that were created and deleted between two readings nothing may be stored.
    assert (await kept(penstock))[1] <= deleted
    assert (await penstock.fetch(WRONGLY_GONE))[0][0] == 0
    audited = await audit(penstock, org)
    for one in audited["objects"]:
        assert (one["missing"], one["stale"], one["extra"]) == (0, 0, 0)
    await penstock.fetch(COME_DUE)
    await penstock.until_counted(0, GAPS)
    assert (await penstock.fetch("SELECT count(*) FROM dead_letter"))[0][0] == 0
