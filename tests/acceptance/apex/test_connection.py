"""The line of Apex that connects an org: mistakes in words, rotation, refreshed sandboxes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.objects import long_id
from pipeline.signing import new_secret
from tests.apex_runtime.org.callouts import Fault
from tests.apex_runtime.values import ApexThrown
from tests.salesforce import ORG_ID, RULE, SYNC_USER_ID
from tests.salesforce_org import ENDPOINT, connect, connected_org, deployed_org, line_of
from tests.salesforce_outage import Spent, edit, new_lead, parked

if TYPE_CHECKING:
    from tests.apex_runtime.org.callouts import Callout
    from tests.apex_runtime.org.org import Org
    from tests.processes import PenstockProcesses, Running

SANDBOX_ID: Final = long_id("00D5g000009Sbox")
HEARD_S: Final = 10.0
CHANGES_OF: Final = "SELECT count(*) FROM change WHERE org_id = $1"


def said(org: Org) -> str:
    """Return what `Penstock.status()` says."""
    with org.transaction() as admin:
        return str(admin.call("Penstock", "status"))


def connection_rows(org: Org) -> list[object]:
    """Return what is stored of the connection."""
    return [row.fields for row in org.select("SELECT Id, Secret__c FROM Penstock_Connection__c")]


def refuse(org: Org, line: str, words: str, *, user: str = SYNC_USER_ID) -> None:
    """Run the line in vain until it says so: ingest hears of commands by notification."""
    stored, deadline = connection_rows(org), time.monotonic() + HEARD_S
    message: str | None = ""
    while words not in (message or "") and time.monotonic() < deadline:
        with (
            pytest.raises(ApexThrown, match=r"^CalloutException: ") as refused,
            org.transaction(user=user) as transaction,
        ):
            transaction.anonymous(line)
        message = refused.value.message
    assert message is not None
    assert words in message
    assert connection_rows(org) == stored, "nothing is half-stored"
    assert not org.queue.waiting


async def test_connecting_says_in_words_what_is_wrong_and_stores_nothing(
    penstock: PenstockProcesses, ingest: Running
) -> None:
    org = deployed_org(penstock)
    penstock.environment["PENSTOCK_INGEST__PUBLIC_URL"] = ENDPOINT
    wrong_code = f"Penstock.connect('{ENDPOINT}', '{new_secret()}');"
    refuse(org, wrong_code, "Not connected. HTTP 403 Forbidden: this org is not known: add it with")
    added = await penstock.run("org", "add", org.org_id, "--sync-user", SYNC_USER_ID)
    line = line_of(added.stdout.decode())

    refuse(org, line.replace("https:", "http:"), "The endpoint must begin with https://")
    elsewhere = line.replace(ENDPOINT, "https://elsewhere.example.com")
    refuse(org, elsewhere, "Not connected. Unauthorized endpoint, please check Setup->Security->")
    refuse(org, wrong_code, "Not connected. HTTP 401 Unauthorized: no signature matches")
    admin = org.users.admin
    refuse(org, line, f"user {admin} is not this org's Sync User: run it as the", user=admin)
    await penstock.fetch("UPDATE org SET connect_code_expires_at = now()")
    refuse(org, line, "no connect code is open for this org: `penstock org rotate` prints a new")
    await ingest.kill()
    refuse(org, line, "Not connected. Connection refused")

    assert not connection_rows(org)
    assert said(org) == "Nothing is sent: this org is not connected"
    spent = Spent(org)
    new_lead(org)
    assert (spent.jobs, spent.callouts) == (0, 0)
    assert not parked(org)


async def test_connecting_again_changes_the_secret_and_loses_nothing(
    penstock: PenstockProcesses, org: Org
) -> None:
    assert said(org) == f"Connected to {ENDPOINT}"
    (first,) = connection_rows(org)
    lead = new_lead(org)
    rotated = line_of((await penstock.run("org", "rotate", ORG_ID)).stdout.decode())
    refuse(org, rotated.replace("whsec_", "whsec_AAAA"), "Not connected. HTTP 401 Unauthorized")
    edit(org, lead, Status="Working")

    # The answer is lost: the same line gives the same secret until that is used.
    org.fault(Fault(drop_answer=True))
    refuse(org, rotated, "Not connected. Read timed out")
    edit(org, lead, Status="Qualified")
    with org.transaction(user=SYNC_USER_ID) as admin:
        admin.anonymous(rotated)
    # Its heartbeat, which is signed with the secret, closes the code.
    connect(org, f"{rotated}\n// And once more.")
    (second,) = connection_rows(org)
    assert first != second
    edit(org, lead, Status="Won")
    refuse(org, rotated, "no connect code is open for this org")
    edit(org, lead, Status="Won again")

    assert said(org) == f"Connected to {ENDPOINT}"
    assert {made.status_code for made in org.callouts if "/changes" in made.endpoint} == {202}
    await penstock.until_counted(5, CHANGES_OF, ORG_ID)
    (listed,) = (await penstock.run("org", "list", "--json")).json()
    assert (listed["state"], listed["is_sandbox"]) == ("connected", False)
    assert listed["connect_code_expires_at"] is None
    assert listed["package_version"] == "0.2.0"


async def test_a_refreshed_sandbox_sends_nothing_until_it_is_an_org_of_its_own(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    org.fault(Fault(drop_answer=True))
    edit(org, lead, Status="Working")
    assert len(parked(org)) == 1
    sandbox = org.copy_as_sandbox(SANDBOX_ID)

    spent = Spent(sandbox)
    edit(sandbox, lead, Status="Nurturing")
    new_lead(sandbox)
    assert (spent.jobs, spent.callouts) == (0, 0)
    assert said(sandbox) == f"Nothing is sent: this org is a copy of {ORG_ID}"

    # As an org of its own it sends its own changes, and not those that production parked.
    await connected_org(penstock, org=sandbox)
    assert said(sandbox) == f"Connected to {ENDPOINT}"
    edit(sandbox, lead, Status="Qualified")
    assert {made.status_code for made in sandbox.callouts} <= {200, 202}
    assert not parked(sandbox)
    await penstock.until_counted(1, CHANGES_OF, SANDBOX_ID)
    await penstock.until_counted(1, "SELECT count(*) FROM firing WHERE org_id = $1", SANDBOX_ID)
    listed = {each["org_id"]: each for each in (await penstock.run("org", "list", "--json")).json()}
    assert [listed[each]["is_sandbox"] for each in (ORG_ID, SANDBOX_ID)] == [False, True]

    # Production drains what is its own.
    org.advance(minutes=2)
    assert not parked(org)
    await penstock.until_counted(2, CHANGES_OF, ORG_ID)


async def test_an_org_without_a_rule_sends_everything_and_so_hears_of_its_first_one(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services, rules="")
    lead = new_lead(org, Status="Open")
    edit(org, lead, Title="CTO")
    assert len(conditions_fetched(org)) == 1

    applied = await services.run("rules", "apply", "-", "--org", ORG_ID, stdin=RULE)
    assert applied.returncode == 0, applied.stderr
    # Ingest hears of the rule by notification, the org by an answer.
    deadline = time.monotonic() + HEARD_S
    while len(conditions_fetched(org)) == 1 and time.monotonic() < deadline:
        edit(org, lead, Title=f"CTO {len(org.callouts)}")
    assert len(conditions_fetched(org)) == 2
    jobs = len(org.async_executions)
    edit(org, lead, Title="None that a rule reads")
    assert len(org.async_executions) == jobs
    edit(org, lead, Status="Qualified")

    await services.until_counted(1, "SELECT count(*) FROM enrollment")


def conditions_fetched(org: Org) -> list[Callout]:
    return [made for made in org.callouts if made.endpoint.endswith("/conditions")]
