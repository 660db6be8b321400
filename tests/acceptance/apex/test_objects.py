"""Each object, and what Salesforce does to several records at once: everything arrives once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from tests.apex_runtime.values import ApexDatetime
from tests.salesforce import ORG_ID
from tests.salesforce_org import connected_org
from tests.salesforce_outage import Spent, parked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apex_runtime.org.org import Org
    from tests.processes import PenstockProcesses

# For each object a field that its rule reads, so that its updates are worth a callout.
WATCHED: Final = {
    "Account": "Phone",
    "Contact": "Phone",
    "Event": "Subject",
    "Lead": "Status",
    "Opportunity": "NextStep",
    "Task": "Subject",
    "User": "Title",
}
RULES: Final = "---\n".join(
    f"rule: {name.lower()}\nobject: {name}\non: [insert, update, delete, undelete]\n"
    f"when: [{{field: {field}, changed: true}}]\n"
    f"then: [{{add_to_sequence: nurture, recipient: {field}}}]\n"
    for name, field in WATCHED.items()
)
START: Final = ApexDatetime(1_795_430_400_000)
ARRIVED: Final = """
    SELECT object, operation, record_id, transaction_id, sequence, old, new
    FROM change ORDER BY captured_at, sequence, record_id"""


@pytest.fixture
async def org(services: PenstockProcesses) -> Org:
    """An org whose rules read each object; its first callouts have told it which fields."""
    org = await connected_org(services, rules=RULES)
    with org.transaction() as admin:
        admin.update("User", {"Id": org.users.admin, "Title": "Admin"})
    org.run_until_idle()
    await services.until_counted(1, "SELECT count(*) FROM change")
    await services.fetch("DELETE FROM change")
    return org


async def arrived(penstock: PenstockProcesses, count: int) -> list[dict[str, Any]]:
    """Return the changes that arrived in their order, with `old` and `new` as JSON or None."""
    await penstock.until_counted(count, "SELECT count(*) FROM change")
    rows = [dict(row) for row in await penstock.fetch(ARRIVED)]
    for row in rows:
        for side in ("old", "new"):
            row[side] = msgspec.json.decode(row[side]) if row[side] is not None else None
    return rows


def records(org: Org) -> Mapping[str, Mapping[str, Any]]:
    """Return a record of each object, as it is inserted."""
    return {
        "Account": {"Name": "Acme"},
        "Contact": {"LastName": "Doe", "Email": "doe@example.com"},
        "Event": {"Subject": "Call", "StartDateTime": START, "DurationInMinutes": 30},
        "Lead": {"LastName": "Doe", "Company": "Acme"},
        "Opportunity": {
            "Name": "Deal",
            "StageName": "Prospecting",
            "CloseDate": dt.date(2026, 12, 31),
        },
        "Task": {"Subject": "Call"},
        "User": {
            "Username": "new@example.com",
            "Email": "new@example.com",
            "LastName": "New",
            "Alias": "new",
            "ProfileId": org.users.standard_profile,
            "TimeZoneSidKey": "GMT",
            "LocaleSidKey": "en_US",
            "EmailEncodingKey": "UTF-8",
            "LanguageLocaleKey": "en_US",
        },
    }


async def test_each_trigger_event_of_each_object_arrives_once(
    services: PenstockProcesses, org: Org
) -> None:
    spent = Spent(org)
    expected = []
    for name, record in records(org).items():
        with org.transaction() as save:
            (outcome,) = save.insert(name, record)
        record_id = str(outcome.record_id)
        with org.transaction() as save:
            save.update(name, {"Id": record_id, WATCHED[name]: "Another"})
        expected += [(name, "insert", record_id), (name, "update", record_id)]
        if name != "User":
            with org.transaction() as save:
                save.delete(record_id)
            with org.transaction() as save:
                save.undelete(record_id)
            expected += [(name, "delete", record_id), (name, "undelete", record_id)]
        org.run_until_idle()
        org.clock.advance(1)

    assert spent.jobs == len(expected) == 26
    changes = await arrived(services, 26)
    assert sorted((c["object"], c["operation"], c["record_id"]) for c in changes) == sorted(
        expected
    )
    for change in changes:
        assert (change["old"] is None) == (change["operation"] in ("insert", "undelete"))
        assert (change["new"] is None) == (change["operation"] == "delete")
        if change["operation"] == "update":
            field = WATCHED[change["object"]]
            assert change["new"][field] == "Another" != change["old"].get(field)
    assert not org.failures
    assert not parked(org)


async def test_a_converted_lead_arrives_with_what_it_became(
    services: PenstockProcesses, org: Org
) -> None:
    with org.transaction() as save:
        (lead,) = save.insert("Lead", {"LastName": "Doe", "Company": "Acme"})
    org.run_until_idle()
    with org.transaction() as save:
        became = save.convert_lead(str(lead.record_id), opportunity="Deal")
    org.run_until_idle()

    _, *changes = await arrived(services, 5)
    assert [(c["object"], c["operation"], c["record_id"]) for c in changes] == [
        ("Account", "insert", became.account_id),
        ("Contact", "insert", became.contact_id),
        ("Opportunity", "insert", became.opportunity_id),
        ("Lead", "update", lead.record_id),
    ]
    assert [c["sequence"] for c in changes] == [0, 1, 2, 3]
    assert len({c["transaction_id"] for c in changes}) == 1
    account, contact, opportunity, converted = (c["new"] for c in changes)
    assert account["Name"] == "Acme"
    assert contact["AccountId"] == opportunity["AccountId"] == account["Id"]
    assert (converted["IsConverted"], changes[-1]["old"]["IsConverted"]) == (True, False)
    assert converted["ConvertedContactId"] == contact["Id"]


async def test_the_losers_of_a_merge_name_the_winner_and_stay_as_tombstones(
    services: PenstockProcesses, org: Org
) -> None:
    kinds = ("Account", "Contact", "Lead")
    made: dict[str, list[str]] = {}
    for name in kinds:
        with org.transaction() as save:
            outcomes = save.insert(name, *[records(org)[name]] * 3)
            made[name] = [str(each.record_id) for each in outcomes]
    org.run_until_idle()
    spent = Spent(org)
    for name in kinds:
        with org.transaction() as save:
            save.merge(*made[name])
    org.run_until_idle()

    # The winners gained nothing that a rule reads.
    assert (spent.jobs, spent.callouts) == (3, 3)
    changes = await arrived(services, 9 + 6)
    lost = {c["record_id"]: c for c in changes if c["operation"] == "delete"}
    assert lost.keys() == {loser for ids in made.values() for loser in ids[1:]}
    for winner, *losers in made.values():
        assert {lost[each]["old"]["MasterRecordId"] for each in losers} == {winner}
    for loser, deleted in ((made["Account"][1], True), (made["Account"][0], False)):
        shown = (await services.run("record", "show", ORG_ID, "Account", loser, "--json")).json()
        assert shown["deleted"] is deleted


async def test_person_accounts_and_series_of_events_arrive_record_by_record(
    services: PenstockProcesses, org: Org
) -> None:
    person = {"FirstName": "Ada", "LastName": "Doe", "PersonEmail": "ada@example.com"}
    event = {"Subject": "Weekly", "DurationInMinutes": 30, "RecurrenceType": "RecursWeekly"}
    weeks = [ApexDatetime(START.ms + week * 604_800_000) for week in range(5)]
    spent = Spent(org)
    with org.transaction() as save:
        (account,) = save.insert("Account", person)
        save.update("Account", {"Id": account.record_id, "Phone": "1"})
    with org.transaction() as save:
        series, *occurrences = save.insert_event_series(event, weeks)
        save.update("Event", {"Id": occurrences[2].record_id, "Subject": "Moved"})
    org.run_until_idle()

    assert spent.jobs == 2 + 3
    inserted, updated, *events = await arrived(services, 2 + 6 + 1)
    assert [(c["object"], c["operation"]) for c in (inserted, updated)] == [
        ("Account", "insert"),
        ("Account", "update"),
    ]
    assert inserted["new"]["IsPersonAccount"] is True
    assert updated["new"]["PersonEmail"] == "ada@example.com"
    assert updated["new"]["Name"] == "Ada Doe"

    master, *each_week, moved = events
    assert master["new"]["IsRecurrence"] is True
    assert {c["new"]["RecurrenceActivityId"] for c in each_week} == {series.record_id}
    assert [c["record_id"] for c in each_week] == [str(each.record_id) for each in occurrences]
    assert len({c["new"]["StartDateTime"] for c in each_week}) == len(weeks)
    assert (moved["operation"], moved["new"]["Subject"]) == ("update", "Moved")
