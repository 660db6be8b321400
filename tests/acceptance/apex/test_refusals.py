"""Ingest says no: a wrong secret, a paused org, what no one can take, what is too large."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.apex_runtime.org.callouts import Answer, Fault
from tests.salesforce import LEAD_ID, ORG_ID, Salesforce, callout
from tests.salesforce_org import ENDPOINT, connect, line_of
from tests.salesforce_outage import Spent, edit, new_lead, parked, reasons

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.processes import PenstockProcesses

CHANGES: Final = "SELECT count(*) FROM change"
DEADLINE_S: Final = 10.0


async def until_answered(status: int, penstock: PenstockProcesses) -> None:
    """Return once an unsigned callout is answered so: ingest hears of commands by notification."""
    stranger = Salesforce(penstock, "")
    async with asyncio.timeout(DEADLINE_S):
        while (await stranger.post("changes", b"", {})).status != status:
            pass


async def test_what_a_wrong_secret_parks_drains_after_the_org_is_connected_anew(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    # Somebody else took the code of a rotation.
    thief = Salesforce(penstock, "")
    stolen = (await penstock.run("org", "rotate", ORG_ID, "--json")).json()["connect_code"]
    thief.secret = await thief.shake_hands(stolen)
    await thief.accepted(callout([{"new": {"Id": LEAD_ID}}], operation="insert"))
    spent = Spent(org)

    edit(org, lead, Status="Qualified")
    edit(org, lead, Status="Working")
    assert spent.statuses == [401, 401]
    assert spent.jobs == 2
    no_match = "HTTP 401 Unauthorized: no signature matches a secret of this org"
    assert reasons(org) == [no_match, no_match]
    assert [row.fields["Retry__c"] for row in parked(org)] == [True, True]
    assert not org.queue.waiting

    rotated = await penstock.run("org", "rotate", ORG_ID)
    connect(org, line_of(rotated.stdout.decode()))
    assert not parked(org)
    assert spent.jobs == 4, "the drain and the heartbeat"
    await penstock.until_counted(4, CHANGES)
    await penstock.until_counted(1, "SELECT count(*) FROM firing")


async def test_what_a_paused_org_parks_drains_with_the_first_save_after_it(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    await penstock.run("org", "pause", ORG_ID)
    await until_answered(403, penstock)
    spent = Spent(org)

    edit(org, lead, Status="Qualified")
    edit(org, lead, Status="Working")
    assert spent.statuses == [403, 403]
    assert reasons(org) == ["HTTP 403 Forbidden: this org is paused"] * 2
    assert not org.queue.waiting

    await penstock.run("org", "resume", ORG_ID)
    await until_answered(401, penstock)
    edit(org, lead, Status="Won")
    org.advance(minutes=1)
    assert not parked(org)
    assert spent.statuses == [403, 403, 202, 202, 202]
    assert spent.jobs == 4
    await penstock.until_counted(4, CHANGES)
    shown = await penstock.run("record", "show", ORG_ID, "Lead", lead, "--json")
    assert shown.json()["fields"]["Status"] == "Won"


async def test_what_ingest_can_not_read_waits_for_a_person(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    spent = Spent(org)
    for status, title in ((422, "Unprocessable Entity"), (400, "Bad Request")):
        detail = b'{"detail": "$.changes[0].new.Id: is not an id"}'
        org.fault(Fault(answer=Answer(status, title, {}, detail)))
        edit(org, lead, Status=f"Status {status}")
    assert reasons(org) == [
        "HTTP 422 Unprocessable Entity: $.changes[0].new.Id: is not an id",
        "HTTP 400 Bad Request: $.changes[0].new.Id: is not an id",
    ]
    assert not any(row.fields["Retry__c"] for row in parked(org))

    edit(org, lead, Status="Working")
    assert len(parked(org)) == 2, "nobody tries them again"
    assert (spent.jobs, spent.callouts) == (3, 3)

    first, second = (row.fields["Id"] for row in parked(org))
    with org.transaction() as person:
        person.update("Penstock_Parked__c", {"Id": first, "Retry__c": True})
    edit(org, lead, Status="Won")
    org.advance(minutes=1)
    assert (spent.jobs, spent.statuses[3:]) == (5, [202, 202])
    assert [row.fields["Id"] for row in parked(org)] == [second]
    await penstock.until_counted(4, CHANGES)


async def test_what_is_too_large_arrives_in_halves_and_what_no_half_holds_harms_no_other(
    penstock: PenstockProcesses, org: Org
) -> None:
    new_lead(org)
    await penstock.start_ingest(PENSTOCK_INGEST__MAX_BODY_BYTES="20000")
    org.route(ENDPOINT, penstock.ingest_url)
    spent = Spent(org)
    leads = [{"LastName": f"Doe {n}", "Company": "Acme"} for n in range(200)]
    leads[120]["Description"] = "x" * 21_000

    with org.transaction() as save:
        save.insert("Lead", *leads)
    org.run_until_idle()
    assert (spent.callouts, spent.jobs) == (23, 1)
    assert reasons(org) == ["HTTP 413 Request Entity Too Large: the body is over 20000 bytes"]
    assert not parked(org)[0].fields["Retry__c"]
    await penstock.until_counted(1 + 199, CHANGES)

    # So little room that a save of 120 takes a callout for each, and so a chain of jobs.
    await penstock.start_ingest(PENSTOCK_INGEST__MAX_BODY_BYTES="1400")
    org.route(ENDPOINT, penstock.ingest_url)
    spent = Spent(org)
    with org.transaction() as save:
        save.insert("Lead", *({"LastName": f"Doe {n}", "Company": "Acme"} for n in range(120)))
    org.run_until_idle()
    # 120, 60, 30, 15, 7 and 3 were too many.
    assert spent.statuses == [413] * 6 + [202] * 120
    assert spent.jobs == 2
    assert len(parked(org)) == 1
    await penstock.until_counted(1 + 199 + 120, CHANGES)
    assert not org.failures
