"""Saves in Salesforce, carried by the real package through ingest, RabbitMQ and a worker."""

from __future__ import annotations

import datetime as dt
import json
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.apex_runtime.errors import ApexThrown
from tests.salesforce_org import connected_org

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import TriggerContext
    from tests.processes import PenstockProcesses

CHANGES: Final = "SELECT count(*) FROM change"
LEAD: Final = {"LastName": "Berg", "Company": "Acme", "Status": "Open", "Email": "ana@example.com"}
HEARD_S: Final = 10.0


def lead(number: int = 0, /, **fields: Any) -> dict[str, Any]:
    return {**LEAD, "LastName": f"Lead {number}", **fields}


def inserted(org: Org, *leads: Mapping[str, Any]) -> list[str]:
    """Insert leads, send them, and return their ids; the org knows the conditions afterwards."""
    with org.transaction() as save:
        ids = [str(outcome.record_id) for outcome in save.insert("Lead", *leads)]
    org.run_until_idle()
    return ids


def saved(org: Org, *updates: Mapping[str, Any], user: str | None = None) -> int:
    """Update leads in one save, send them, and return how many jobs that cost."""
    before = len(org.async_executions)
    with org.transaction(user=user) as save:
        save.update("Lead", *updates)
    org.run_until_idle()
    return len(org.async_executions) - before


async def changes_of(penstock: PenstockProcesses, record_id: str) -> list[Any]:
    """Return the (old, new) of each change of a record, in order."""
    rows = await penstock.fetch(
        "SELECT old, new FROM change WHERE record_id = $1"
        " ORDER BY captured_at, sequence, capture_id",
        record_id,
    )
    return [tuple(json.loads(text or "null", parse_float=Decimal) for text in row) for row in rows]


async def shown(penstock: PenstockProcesses, org: Org, record_id: str) -> Any:  # noqa: ANN401
    """Return the fields that `record show` tells of a lead."""
    answer = await penstock.run("record", "show", org.org_id, "Lead", record_id, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout, parse_float=Decimal)["fields"]


async def test_200_leads_updated_in_one_save_cost_one_job_and_one_callout(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services)
    ids = inserted(org, *(lead(n) for n in range(200)))
    callouts = len(org.callouts)

    assert saved(org, *({"Id": each, "Status": "Qualified"} for each in ids)) == 1

    assert len(org.callouts) - callouts == 1
    await services.until_counted(400, CHANGES)
    assert not org.failures


async def test_only_a_change_of_a_watched_field_costs_a_job(services: PenstockProcesses) -> None:
    org = await connected_org(services)
    (lead_id,) = inserted(org, lead(Rating="Hot"))

    assert saved(org, {"Id": lead_id, "Phone": "1", "Title": "CTO"}) == 0
    assert saved(org, {"Id": lead_id, "Status": "Open"}) == 0
    # Salesforce's own `!=` would call these equal.
    assert saved(org, {"Id": lead_id, "Status": "OPEN"}) == 1
    assert saved(org, {"Id": lead_id, "Rating": None}) == 1

    await services.until_counted(3, CHANGES)
    _, (old, new), (_, cleared) = await changes_of(services, lead_id)
    assert (old["Status"], new["Status"]) == ("Open", "OPEN")
    # Unwatched fields come along.
    assert new["Title"] == "CTO"
    assert cleared.get("Rating") is None


FIELDS: Final = {
    "Notes__c": "LongTextArea(131072)",
    "Score__c": "Number(18,8)",
    "Interests__c": "MultiselectPicklist(4099)",
    "Visited__c": "DateTime",
    "Renewal__c": "Date",
    "Consent__c": "Checkbox",
}
VALUES: Final = {
    "FirstName": 'Zoë 👩‍🚀 "\\</script>\u2028',
    "Notes__c": "Žluťoučký kůň 🐎,\nnéant\t\\u0000 }\n]}".ljust(100_000, "漢"),
    "Score__c": Decimal("-1234567890.12345678"),
    "AnnualRevenue": Decimal("1000000.50"),
    "NumberOfEmployees": 0,
    "Interests__c": "Aço;B & C;'D'",
    "Visited__c": dt.datetime(2024, 2, 29, 23, 59, 59, tzinfo=dt.UTC),
    "Renewal__c": dt.date(2028, 12, 31),
    "Consent__c": True,
    "Website": "https://example.com/?a=b&c=ü",
}
AS_JSON: Final = {
    **VALUES,
    "Visited__c": "2024-02-29T23:59:59.000+0000",
    "Renewal__c": "2028-12-31",
}
CLEARED: Final = {**dict.fromkeys(VALUES), "Consent__c": False}


async def test_every_value_arrives_as_it_was_and_so_does_every_cleared_field(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(
        services, rules="", fields={"Lead": [f"{name} {kind}" for name, kind in FIELDS.items()]}
    )
    # Before Penstock's first answer any field is watched.
    with org.transaction() as save:
        (outcome,) = save.insert("Lead", lead(**VALUES))
    with org.transaction() as save:
        save.update("Lead", {"Id": outcome.record_id, **CLEARED})
    org.run_until_idle()

    await services.until_counted(2, CHANGES)
    (_, first), (old, new) = await changes_of(services, str(outcome.record_id))
    assert {name: first[name] for name in VALUES} == AS_JSON
    assert {name: old[name] for name in VALUES} == AS_JSON
    # Scale included, which numbers that are equal need not share.
    assert str(first["AnnualRevenue"]) == "1000000.50"
    assert {name: new.get(name) for name in VALUES} == CLEARED
    now = await shown(services, org, str(outcome.record_id))
    assert {name: now.get(name) for name in VALUES} == CLEARED
    assert not org.failures


async def test_a_record_saved_twice_in_a_transaction_arrives_twice_in_order(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services)
    (lead_id,) = inserted(org, lead())
    with org.transaction() as save:
        save.update("Lead", {"Id": lead_id, "Status": "Working"})
        save.update("Lead", {"Id": lead_id, "Status": "Qualified"})
    org.run_until_idle()

    await services.until_counted(3, CHANGES)
    captures = await services.fetch(
        "SELECT transaction_id, sequence, new::jsonb->>'Status' AS status FROM change"
        " WHERE operation = 'update' ORDER BY captured_at, sequence"
    )
    assert [(row["sequence"], row["status"]) for row in captures] == [
        (0, "Working"),
        (1, "Qualified"),
    ]
    assert captures[0]["transaction_id"] == captures[1]["transaction_id"]
    assert (await shown(services, org, lead_id))["Status"] == "Qualified"


async def test_what_was_rolled_back_is_never_sent(services: PenstockProcesses) -> None:
    org = await connected_org(services)
    (lead_id,) = inserted(org, lead())
    before = len(org.async_executions)

    # A save captures by job, and beside asynchronous Apex by event.
    for context in ("sync", "batch"):
        with (
            pytest.raises(ApexThrown, match="Divide by 0"),
            org.transaction(context=context) as save,
        ):
            save.anonymous(
                f"update new Lead(Id = '{lead_id}', Status = 'Lost'); Integer i = 1 / 0;"
            )
    for context in ("sync", "batch"):
        with org.transaction(context=context) as save:
            savepoint = save.platform.savepoint()
            save.update("Lead", {"Id": lead_id, "Status": "Lost"})
            save.platform.rollback(savepoint)
    org.run_until_idle()
    assert len(org.async_executions) == before

    # Of a transaction that goes on after its savepoint, what came of the rest.
    with org.transaction() as save:
        savepoint = save.platform.savepoint()
        save.update("Lead", {"Id": lead_id, "Status": "Lost"})
        save.platform.rollback(savepoint)
        save.update("Lead", {"Id": lead_id, "Status": "Won"})
    org.run_until_idle()
    await services.until_counted(2, CHANGES)
    (_, (old, new)) = await changes_of(services, lead_id)
    assert (old["Status"], new["Status"]) == ("Open", "Won")


async def test_of_a_partial_save_exactly_what_was_saved_arrives(
    services: PenstockProcesses,
) -> None:
    def refuse_every_tenth(tx: Transaction, trigger: TriggerContext) -> None:
        for record in trigger.new or ():
            if str(record.fields["LastName"]).endswith("0"):
                tx.add_error(record, None, "refused by another package")

    org = await connected_org(services)
    ids = inserted(org, *(lead(n) for n in range(100)))
    org.add_validation_rule(
        "Lead", lambda row: "no" if str(row["LastName"]).endswith("1") else None
    )
    org.add_trigger("Lead", "AFTER_UPDATE", refuse_every_tenth)
    before = len(org.async_executions)

    with org.transaction() as save:
        outcomes = save.update(
            "Lead", *({"Id": each, "Status": "Working"} for each in ids), all_or_none=False
        )
    org.run_until_idle()

    kept = {str(outcome.record_id) for outcome in outcomes if outcome.success}
    assert len(kept) == 80
    assert len(org.async_executions) - before == 1
    await services.until_counted(180, CHANGES)
    rows = await services.fetch("SELECT record_id FROM change WHERE operation = 'update'")
    assert {row["record_id"] for row in rows} == kept


async def test_after_a_workflow_update_the_record_is_right_and_a_rule_has_fired_once(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services)
    (lead_id,) = inserted(org, lead(AnnualRevenue=2_000_000))
    org.add_field_update(
        "Lead", lambda now, _: {"Rating": "Hot"} if now["Status"] == "Qualified" else None
    )

    assert saved(org, {"Id": lead_id, "Status": "Qualified"}) == 2

    await services.until_counted(3, CHANGES)
    _, (old, new), (old_again, new_again) = await changes_of(services, lead_id)
    assert old["Status"] == old_again["Status"] == "Open"
    assert (new.get("Rating"), new_again["Rating"]) == (None, "Hot")
    assert (await shown(services, org, lead_id))["Rating"] == "Hot"
    for table in ("firing", "enrollment"):
        assert len(await services.fetch(f"SELECT * FROM {table}")) == 1, table  # noqa: S608


UNTOLD: Final = "not-to-be-told"
HIDDEN: Final = dict.fromkeys(
    ("Ssn__c", "Note__c", "Phone", "Description", "Street", "Website"), UNTOLD
)


async def test_excluded_and_encrypted_fields_never_leave_on_any_way(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(
        services,
        fields={
            "Lead": [
                "Ssn__c EncryptedText(40)",
                "Note__c Text(255) encrypted",
                "Notes__c LongTextArea(131072)",
            ]
        },
    )
    with org.transaction() as setup:
        excluded = " phone,DESCRIPTION ,street, Website"
        setup.insert("Penstock_Options__c", {"Exclude_Lead__c": excluded})
    (lead_id,) = inserted(org, lead(**HIDDEN))
    left = []

    saved(org, {"Id": lead_id, "Status": "By job"})
    for status, notes in (("By event", "Short"), ("By id", "Long".ljust(131_000, "!"))):
        with org.transaction(context="batch") as save:
            save.update("Lead", {"Id": lead_id, "Status": status, "Notes__c": notes})
            left += [str(event.fields["Payload__c"]) for event in save.platform.events]
        org.run_until_idle()
    org.bus.hourly_limit = 0
    with org.transaction(context="batch") as save:
        save.update("Lead", {"Id": lead_id, "Status": "By row", "Notes__c": "Short"})
        save.delete(lead_id)
    parked = org.select("SELECT Payload__c FROM Penstock_Parked__c")
    left += [str(row.fields["Payload__c"]) for row in parked]
    assert len(left) == 4
    # The next job brings the drain.
    inserted(org, lead(**HIDDEN))
    org.advance(minutes=1)

    await services.until_counted(7, CHANGES)
    told = await services.fetch("SELECT old, new FROM change")
    left += [str(text) for row in told for text in row]
    left += [made.body.decode() for made in org.callouts]
    assert not [text for text in left if UNTOLD in text]
    _, (old, new), *_ = await changes_of(services, lead_id)
    assert set(old) >= {"Id", "LastName", "Company", "Email", "OwnerId", "SystemModstamp"}
    assert set(old) == set(new)
    assert not org.select("SELECT Id FROM Penstock_Parked__c")
    assert not org.failures


async def test_capture_is_switched_off_for_a_profile_a_user_or_everybody(
    services: PenstockProcesses,
) -> None:
    def switch(owner: str, *, off: bool) -> None:
        with org.transaction() as setup:
            setup.insert("Penstock_Options__c", {"SetupOwnerId": owner, "Off__c": off})

    org = await connected_org(services)
    (lead_id,) = inserted(org, lead())
    loader, seller = org.user("loader@example.com"), org.user("seller@example.com")

    switch(org.users.standard_profile, off=True)
    switch(seller, off=False)
    assert saved(org, {"Id": lead_id, "Status": "Loaded"}, user=loader) == 0
    assert saved(org, {"Id": lead_id, "Status": "Sold"}, user=seller) == 1
    switch(org.users.admin, off=True)
    assert saved(org, {"Id": lead_id, "Status": "Known"}) == 0
    await services.until_counted(2, CHANGES)

    switch(org.org_id, off=True)
    for user in (loader, seller, org.users.admin):
        assert saved(org, {"Id": lead_id, "Status": "Open"}, user=user) == 0
        with org.transaction(user=user, context="batch") as save:
            save.update("Lead", {"Id": lead_id, "Status": "Closed"})
            assert not save.platform.events
    assert not org.select("SELECT Id FROM Penstock_Parked__c")
    assert len(await services.fetch("SELECT * FROM change")) == 2


MANY: Final = [f"A_Field_Of_A_Long_Name_{number:03}__c" for number in range(40)]
ANY_OF_MANY: Final = f"""\
rule: any-of-many
object: Lead
on: [update]
when:
  - any:
{chr(10).join(f"      - {{field: {name}, changed_to: x}}" for name in MANY)}
then:
  - add_to_sequence: nurture
    recipient: Email
"""


async def test_new_conditions_are_fetched_once_and_too_many_of_them_mean_any_field(
    services: PenstockProcesses,
) -> None:
    def fetched() -> int:
        return sum(made.method == "GET" for made in org.callouts)

    org = await connected_org(services, fields={"Lead": [f"{name} Text(9)" for name in MANY]})
    (lead_id,) = inserted(org, lead())
    assert fetched() == 1
    assert saved(org, {"Id": lead_id, MANY[39]: "a"}) == 0

    applied = await services.run("rules", "apply", "-", "--org", org.org_id, stdin=ANY_OF_MANY)
    assert applied.returncode == 0, applied.stderr
    # Ingest hears of them by notification, the org by the answer after that.
    deadline = time.monotonic() + HEARD_S
    jobs = 0
    while fetched() == 1:
        assert time.monotonic() < deadline
        jobs += saved(org, {"Id": lead_id, "Status": str(jobs)})
    assert fetched() == 2

    assert saved(org, {"Id": lead_id, MANY[39]: "b"}) == 1
    assert saved(org, {"Id": lead_id, "Phone": "1"}) == 1
    assert fetched() == 2
    await services.until_counted(jobs + 3, CHANGES)
