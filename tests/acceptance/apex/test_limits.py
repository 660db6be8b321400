"""Loads, batches and spent allowances: the real package stays within limits, and all arrives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.salesforce import RULE
from tests.salesforce_org import connected_org, deployed_org

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.org.unit_of_work import UnitOfWork
    from tests.apex_runtime.program import TriggerContext
    from tests.processes import PenstockProcesses

CUSTOMER: Final = Path(__file__).with_name("customer")
CHANGES: Final = "SELECT count(*) FROM change"
RECORDS: Final = "SELECT count(*) FROM record WHERE fields->>$1 = $2"
LEAD: Final = {"LastName": "Berg", "Company": "Acme", "Status": "Open", "Email": "ana@example.com"}
RULES: Final = f"""\
{RULE}---
rule: accounts
object: Account
on: [update]
when:
  - {{field: Rating, changed_to: Hot}}
then:
  - add_to_sequence: nurture
    recipient: Website
---
rule: users
object: User
on: [update]
when:
  - any:
      - {{field: UserRoleId, changed_to: none}}
      - {{field: Title, changed_to: CTO}}
then:
  - add_to_sequence: nurture
    recipient: Email
"""
DAY_MIN: Final = 24 * 60


def ids_of(outcomes: Sequence[Any]) -> list[str]:
    assert all(outcome.success for outcome in outcomes)
    return [str(outcome.record_id) for outcome in outcomes]


def leads(org: Org, count: int, **fields: Any) -> list[str]:
    """Insert leads and send them; the org knows the conditions afterwards."""
    with org.transaction() as save:
        ids = ids_of(save.insert("Lead", *({**LEAD, **fields} for _ in range(count))))
    org.run_until_idle()
    return ids


def parked(org: Org) -> int:
    return len(org.select("SELECT Id FROM Penstock_Parked__c"))


def drain(org: Org) -> None:
    """Run what is queued, and the drain, which leaves later saves a minute to come along."""
    org.run_until_idle()
    org.advance(minutes=1)


def enqueue_audit(tx: Transaction) -> None:
    """Enqueue a job of the org's own code."""
    instance = tx.session.new("Audit")
    tx.enqueue(instance, None, None)


def deployed_with_audit(penstock: PenstockProcesses) -> Org:
    return deployed_org(penstock, CUSTOMER)


async def test_10000_leads_cost_50_jobs_in_a_bulk_load_and_arrive_from_one_transaction_too(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services, org=deployed_with_audit(services))
    connected = len(org.async_executions)
    ids = ids_of(org.bulk_load("insert", "Lead", [LEAD] * 10_000))
    org.run_until_idle()
    assert len(org.async_executions) - connected == 50
    loaded = len(org.async_executions), len(org.callouts)

    with org.transaction() as save:
        save.update("Lead", *({"Id": each, "Status": "Qualified"} for each in ids))
        # There is room for the org's own.
        enqueue_audit(save.platform)
    org.run_until_idle()

    jobs = [each.class_name for each in org.async_executions[loaded[0] :]]
    assert jobs.count("Audit") == 1
    assert jobs.count("PenstockSend") <= 50
    await services.until_counted(20_000, CHANGES)
    await services.until_counted(10_000, RECORDS, "Status", "Qualified")
    assert not org.failures
    assert not parked(org)


async def test_a_batch_of_leads_accounts_and_users_exceeds_no_limit_and_all_arrives(
    services: PenstockProcesses,
) -> None:
    def execute(work: UnitOfWork, scope: Sequence[tuple[str, str]]) -> None:
        work.update("Lead", *({"Id": each, "Rating": "Hot"} for each, _ in scope))
        work.update("Account", *({"Id": each, "Rating": "Hot"} for _, each in scope))
        work.update("User", *({"Id": each, "Title": "CTO"} for each in users))

    def change_roles(work: UnitOfWork, scope: Sequence[str]) -> None:
        work.update("User", *({"Id": each, "UserRoleId": role} for each in scope))

    org = await connected_org(services, rules=RULES)
    users = [org.user(f"user{n}@example.com") for n in range(20)]
    role = org.users.add_role("Sales")
    lead_ids = leads(org, 400)
    with org.transaction() as save:
        accounts = save.insert("Account", *({"Name": f"Account {n}"} for n in range(400)))
    org.run_until_idle()
    before = len(org.async_executions)

    # 400 records in one scope are two invocations of each trigger.
    org.run_batch(execute, list(zip(lead_ids, ids_of(accounts), strict=True)), scope=400)
    org.run_batch(change_roles, users, scope=10)
    org.run_until_idle()

    jobs = [each.class_name for each in org.async_executions[before:]]
    # For 7 invocations of triggers.
    assert jobs.count("PenstockSend") <= 2
    assert not org.failures
    # 800 inserted; of users those that the batches changed.
    await services.until_counted(800 + 800 + 20 + 20, CHANGES)
    await services.until_counted(800, RECORDS, "Rating", "Hot")
    await services.until_counted(20, RECORDS, "UserRoleId", role)


@pytest.mark.parametrize("own_code_first", [True, False])
async def test_the_last_enqueue_of_a_transaction_is_the_orgs_own(
    services: PenstockProcesses, *, own_code_first: bool
) -> None:
    def audit(tx: Transaction, _: TriggerContext) -> None:
        enqueue_audit(tx)

    org = await connected_org(services, org=deployed_with_audit(services))
    (lead_id,) = leads(org, 1)
    if own_code_first:
        org.add_trigger("Lead", "AFTER_UPDATE", audit)
    before = len(org.async_executions)

    contexts = ("batch", "queueable", "sync")
    for context in contexts:
        with org.transaction(context=context) as work:
            if context == "sync":
                for _ in range(49):
                    enqueue_audit(work.platform)
            work.update("Lead", {"Id": lead_id, "Status": context})
            if not own_code_first:
                enqueue_audit(work.platform)
    # A future method of the org's, say; nobody knows what comes after it.
    with org.transaction(context="future") as work:
        work.update("Lead", {"Id": lead_id, "Status": "future"})
        if not own_code_first:
            enqueue_audit(work.platform)
    org.run_until_idle()

    jobs = [each.class_name for each in org.async_executions[before:]]
    assert (jobs.count("Audit"), jobs.count("PenstockSend")) == (49 + 4, 1)
    await services.until_counted(1 + 4, CHANGES)
    await services.until_counted(1, RECORDS, "Status", "future")
    assert not org.failures


async def test_when_the_days_jobs_are_spent_saves_succeed_and_all_arrives_the_day_after(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services, daily_async_executions=1000)
    leads(org, 1)
    org.clock.set_back(minutes=DAY_MIN + 60)
    org.queue.use_up(997)
    before = len(org.async_executions)

    lead_ids = leads(org, 40)
    for number, lead_id in enumerate(lead_ids):
        context = "batch" if number % 2 else "sync"
        with org.transaction(context=context) as save:
            save.update("Lead", {"Id": lead_id, "Status": "Qualified"})
    with org.transaction() as save:
        save.update("Lead", {"Id": lead_ids[0], "Status": "Lost"})
    org.run_until_idle()
    assert len(org.async_executions) == before
    assert parked(org) == 1 + 40 + 1

    org.advance(minutes=DAY_MIN + 60)
    assert len(org.async_executions) == before
    with org.transaction() as save:
        save.update("Lead", {"Id": lead_ids[1], "Status": "Won"})
    drain(org)

    # The save's own job, and one drain.
    assert len(org.async_executions) - before == 2
    assert not parked(org)
    await services.until_counted(1 + 40 + 40 + 1 + 1, CHANGES)
    await services.until_counted(38, RECORDS, "Status", "Qualified")
    await services.until_counted(1, RECORDS, "Status", "Lost")
    await services.until_counted(1, RECORDS, "Status", "Won")
    assert not org.failures


async def test_with_events_as_the_normal_path_many_saves_cost_few_jobs(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services)
    with org.transaction() as setup:
        setup.insert("Penstock_Options__c", {"Use_Events__c": True})
    lead_ids = leads(org, 100)
    before = len(org.async_executions)

    for lead_id in lead_ids:
        with org.transaction() as save:
            save.update("Lead", {"Id": lead_id, "Status": "Qualified"})
    org.run_until_idle()

    assert len(org.async_executions) - before <= 100 // 5
    await services.until_counted(200, CHANGES)
    await services.until_counted(100, RECORDS, "Status", "Qualified")
    assert not org.failures


async def test_records_too_large_for_an_event_travel_as_ids_and_arrive_whole(
    services: PenstockProcesses,
) -> None:
    fields = {"Lead": ["Notes__c LongTextArea(131072)", "More__c LongTextArea(131072)"]}
    org = await connected_org(services, fields=fields)
    with org.transaction() as setup:
        setup.insert("Penstock_Options__c", {"Use_Events__c": True})
    notes, more = "漢".ljust(131_072, "x"), "🐎\n".ljust(100_000, "y")
    (large,) = leads(org, 1, Notes__c=notes, More__c=more)
    lead_ids = leads(org, 200, More__c="z" * 10_000)

    with org.transaction(context="batch") as save:
        save.update("Lead", {"Id": large, "Status": "Qualified"})
        assert [len(str(e.fields["Payload__c"])) < 1000 for e in save.platform.events] == [True]
    # Together too large for the heap of a save, and of one job.
    with org.transaction(context="batch") as save:
        changed = {"Status": "Qualified", "Notes__c": "n" * 9_000}
        save.update("Lead", *({"Id": each, **changed} for each in lead_ids))
    org.run_until_idle()
    with org.transaction(context="batch") as save:
        save.delete(large)
    org.run_until_idle()

    assert not org.failures
    await services.until_counted(201 + 201 + 1, CHANGES)
    rows = await services.fetch(
        "SELECT new::jsonb->>'Notes__c' AS notes, new::jsonb->>'More__c' AS more FROM change"
        " WHERE record_id = $1 AND operation <> 'delete'",
        large,
    )
    assert [(row["notes"], row["more"]) for row in rows] == [(notes, more)] * 2
    await services.until_counted(200, RECORDS, "Notes__c", "n" * 9_000)
    assert not parked(org)


async def test_beside_a_change_of_users_no_save_fails_whatever_refuses_the_capture(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services, rules=RULES)
    user, role = org.user("ana@example.com"), org.users.add_role("Sales")
    (lead_id,) = leads(org, 1)

    def save_all(title: str) -> None:
        """Save a user so that it mixes with others, then so that it does not; and a lead."""
        with org.transaction(context="batch") as save:
            save.update("User", {"Id": user, "Title": title})
            save.update("User", {"Id": user, "UserRoleId": None if title == "CTO" else role})
        with org.transaction(context="batch") as save:
            save.update("Lead", {"Id": lead_id, "Status": title})

    save_all("COO")
    org.run_until_idle()
    await services.until_counted(1 + 3, CHANGES)

    # The hour's events are used up: of Users, beside which rows can't be had, nothing is left.
    hourly_limit, org.bus.hourly_limit = org.bus.hourly_limit, 0
    save_all("CTO")
    assert parked(org) == 1
    org.bus.hourly_limit = hourly_limit
    save_all("CEO")
    drain(org)
    await services.until_counted(1 + 3 + 1 + 3, CHANGES)
    assert not parked(org)
    assert not org.failures


async def test_where_nothing_has_room_for_a_capture_the_save_wins(
    services: PenstockProcesses,
) -> None:
    org = await connected_org(services, daily_async_executions=1000)
    (lead_id,) = leads(org, 1)
    org.queue.use_up(1000)
    org.bus.hourly_limit = 0

    # What the org's own code has used before.
    for limit, used in (("DmlStatements", 149), ("DmlRows", 9_999)):
        with org.transaction() as save:
            save.platform.limits.spend(limit, used)
            save.update("Lead", {"Id": lead_id, "Status": f"{limit} {used}"})
    org.run_until_idle()
    assert not parked(org)
    with org.transaction() as save:
        save.platform.limits.spend("DmlRows", 9_000)
        save.update("Lead", {"Id": lead_id, "Status": "Qualified"})
    assert parked(org) == 1
    assert not org.failures


@pytest.mark.parametrize("context", ["sync", "batch"])
async def test_code_that_saves_100_records_one_by_one_keeps_its_statements(
    services: PenstockProcesses, context: str
) -> None:
    org = await connected_org(services)
    (lead_id,) = leads(org, 1)

    with org.transaction(context=context) as work:
        for number in range(100):
            work.update("Lead", {"Id": lead_id, "Status": str(number)})
    org.run_until_idle()

    assert not org.failures
    # Those that left as many statements to the rest; 40 by job.
    await services.until_counted(1 + (58 if context == "sync" else 38), CHANGES)
