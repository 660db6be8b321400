"""Ingest away, slow or losing its answers: the real package parks, waits and delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from ops.stack.ports import free_port
from tests.apex_runtime.org.callouts import Answer, Fault
from tests.apex_runtime.values import throw
from tests.salesforce import ORG_ID
from tests.salesforce_org import ENDPOINT
from tests.salesforce_outage import Spent, drains_waiting, edit, new_lead, parked, reasons

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import TriggerContext
    from tests.processes import PenstockProcesses, Running

SILENT: Final = "Penstock is not answering"
# One job makes so many callouts for changes; one more is left for the conditions.
CALLOUTS_OF_A_JOB: Final = 99
# The batch size of the subscription.
EVENTS_OF_A_JOB: Final = 8


async def assert_arrived_once(penstock: PenstockProcesses, changes: int, effects: int) -> None:
    """Assert that so many changes arrived, and had so many effects, none twice or in vain."""
    await penstock.until_counted(changes, "SELECT count(*) FROM change")
    await penstock.until_counted(effects, "SELECT count(*) FROM firing")
    await penstock.until_counted(effects, "SELECT count(*) FROM enrollment")
    await penstock.until_counted(effects, "SELECT count(*) FROM enrollment_event")
    await penstock.until_counted(0, "SELECT count(*) FROM dead_letter")


@pytest.mark.parametrize(
    ("outage_minutes", "tries"),
    [(10, [1, 3, 7, 15]), (180, [1, 3, 7, *range(15, 186, 10)])],
)
async def test_what_is_saved_in_an_outage_arrives_afterwards_once_and_the_newest_state_wins(
    penstock: PenstockProcesses, ingest: Running, org: Org, outage_minutes: int, tries: list[int]
) -> None:
    leads = [new_lead(org, Email=f"doe{n}@example.com") for n in range(3)]
    await ingest.kill()
    edits = tries[-1]
    # The try that succeeds has to be near the real time, and the last edits after the inserts.
    org.clock.set_back(minutes=edits - 4)
    spent = Spent(org)

    for minute in range(edits):
        if minute == outage_minutes:
            port = str(urlsplit(penstock.ingest_url).port)
            await penstock.start_ingest(PENSTOCK_INGEST__PORT=port)
        status = "Qualified" if minute < len(leads) else f"Step {minute}"
        edit(org, leads[minute % 3], Status=status)
        assert drains_waiting(org) == len(org.queue.waiting) == 1
        if minute < edits - 1:
            org.advance(minutes=1)

    failed_tries = tries[:-1]
    assert spent.minutes == [0, *failed_tries], "saves in between call nobody"
    assert spent.jobs == edits + len(failed_tries)
    first, *others = parked(org)
    assert first.fields["Attempts__c"] == 1 + len(failed_tries)
    assert {first.fields["Reason__c"], *reasons(org)} == {"Connection refused", SILENT}
    assert len(others) == edits - 1
    # While the drain catches up, something newer overtakes the rest.
    catching_up = -(-edits // CALLOUTS_OF_A_JOB)

    def overtake() -> None:
        with org.transaction() as save:
            save.update("Lead", {"Id": leads[0], "Status": "Newest"})

    org.fault(Fault(), min(edits, CALLOUTS_OF_A_JOB) - 1)
    org.fault(Fault(before=overtake))
    org.advance(minutes=1)
    org.run_until_idle()

    assert not parked(org)
    assert not org.queue.waiting
    assert spent.jobs == edits + len(failed_tries) + catching_up + 1
    assert spent.callouts == 1 + len(failed_tries) + edits + 1
    await assert_arrived_once(penstock, len(leads) + edits + 1, effects=len(leads))
    states = [
        (await penstock.run("record", "show", ORG_ID, "Lead", each, "--json")).json()["fields"]
        for each in leads
    ]
    assert [each["Status"] for each in states] == [
        "Newest",
        *(f"Step {max(m for m in range(edits) if m % 3 == n)}" for n in (1, 2)),
    ]
    assert not org.failures


async def test_retry_after_is_honoured_in_minutes_rounded_up(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    port = str(free_port())
    brokerless = await penstock.launch(
        "ingest",
        "INGEST",
        {
            "PENSTOCK_INGEST__PORT": port,
            "PENSTOCK_BROKER__URL": f"amqp://guest:guest@127.0.0.1:{free_port()}/",
        },
    )
    # It knows the org, and lacks RabbitMQ alone.
    await brokerless.until_told(penstock.session, '"registry": "ok"')
    org.route(ENDPOINT, f"http://127.0.0.1:{port}")
    org.clock.set_back(minutes=25)
    spent = Spent(org)

    edit(org, lead, Status="Qualified")
    (reason,) = reasons(org)
    assert reason.startswith("HTTP 503 Service Unavailable: ")
    assert "RabbitMQ" in reason
    asked = [(429, "121"), (503, "3600"), (503, "0"), (502, "Wed, 21 Oct 2026 07:28:00 GMT")]
    for status, retry_after in asked:
        answer = Answer(status, "Busy", {"Retry-After": retry_after}, b"<html>Busy</html>")
        org.fault(Fault(answer=answer))
    org.route(ENDPOINT, penstock.ingest_url)
    org.advance(minutes=25)
    org.run_until_idle()

    # 5 s, 121 s, an hour (ten minutes are the most), no time, and no number: the fifth failure.
    assert spent.minutes == [0, 1, 4, 14, 15, 25]
    assert spent.statuses == [503, 429, 503, 503, 502, 202]
    assert not parked(org)
    await assert_arrived_once(penstock, 2, effects=1)


async def test_an_answer_that_is_lost_leaves_no_effect_twice(
    penstock: PenstockProcesses, org: Org
) -> None:
    lead = new_lead(org)
    org.clock.set_back(minutes=4)
    spent = Spent(org)

    org.fault(Fault(drop_answer=True))
    edit(org, lead, Status="Qualified")
    assert reasons(org) == ["Read timed out"]
    # The next try's answer comes, but only after the 20 s that the package waits.
    org.fault(Fault(delay_ms=20_001))
    org.advance(minutes=4)
    org.run_until_idle()

    assert spent.statuses == [None, None, 202]
    assert not parked(org)
    await assert_arrived_once(penstock, 2, effects=1)
    tries = org.callouts[-3:]
    assert len({made.body for made in tries}) == 1
    assert len({made.headers["webhook-id"] for made in tries}) == 1


@pytest.fixture
def many_in_one_job(org: Org) -> Org:
    """An org whose captures travel as events, so that one job sends several."""
    with org.transaction() as admin:
        admin.insert("Penstock_Options__c", {"SetupOwnerId": org.org_id, "Use_Events__c": True})
    return org


def deadly(org: Org) -> Fault:
    """Return an answer that no heap holds, which comes ten minutes earlier than it is asked for.

    So the drain, ten minutes after a job that died, is near the real time again.
    """
    too_much = b'{"detail": "%s"}' % bytes(7_000_000).hex().encode()
    return Fault(
        before=lambda: org.clock.set_back(minutes=10), answer=Answer(503, "Busy", {}, too_much)
    )


async def test_a_job_that_dies_has_what_it_had_not_sent_parked_and_the_drain_delivers_it(
    penstock: PenstockProcesses, many_in_one_job: Org
) -> None:
    org = many_in_one_job
    new_lead(org)
    spent = Spent(org)

    # Five captures in one job, which ends with the third.
    org.fault(Fault(), 2)
    org.fault(deadly(org))
    insert_leads(org, 5)
    (failure,) = org.failures
    assert "Apex heap size too large" in str(failure.error)
    assert len(parked(org)) == 3
    assert all(reason.startswith("HTTP 503 Busy: 000") for reason in reasons(org))
    org.advance(minutes=10)
    org.run_until_idle()
    assert spent.statuses == [202, 202, 503, 202, 202, 202]
    assert spent.jobs == 2

    # An exception that nobody caught: the row that is inserted meets a lock, just then.
    locked = ["UNABLE_TO_LOCK_ROW"]

    def lock(_: Transaction, __: TriggerContext) -> None:
        if locked:
            org.clock.set_back(minutes=10)
            throw("DmlException", locked.pop())

    org.add_trigger("Penstock_Parked__c", "BEFORE_INSERT", lock)
    org.fault(Fault(drop_answer=True))
    insert_leads(org, 1)
    assert "UNABLE_TO_LOCK_ROW" in str(org.failures[1].error)
    assert reasons(org) == ["Read timed out"]
    org.advance(minutes=10)
    org.run_until_idle()
    assert spent.jobs == 4
    assert len(org.failures) == 2
    assert not parked(org)
    await assert_arrived_once(penstock, 1 + 5 + 1, effects=0)


async def test_a_row_that_ends_the_drain_is_set_aside_for_a_person_and_holds_up_no_other(
    penstock: PenstockProcesses, org: Org
) -> None:
    leads = [new_lead(org) for _ in range(3)]
    org.clock.set_back(minutes=2)
    spent = Spent(org)
    org.fault(Fault(answer=Answer(500, "Internal Server Error", {}, b"")))
    for lead in leads:
        edit(org, lead, Status="Working")
    org.fault(Fault())
    org.fault(deadly(org))
    org.advance(minutes=2)
    org.run_until_idle()

    # Ten minutes later the first row is sent again, and the third.
    assert spent.statuses == [500, 202, 503, 202, 202]
    assert (spent.jobs, len(org.failures)) == (3 + 2, 1)
    (row,) = parked(org)
    assert (row.fields["Attempts__c"], row.fields["Retry__c"]) == (2, False)
    assert "Apex heap size too large" in reasons(org)[0]
    await assert_arrived_once(penstock, 3 + 2, effects=0)


async def test_slow_answers_and_many_captures_are_shared_among_the_jobs_of_a_chain(
    penstock: PenstockProcesses, many_in_one_job: Org
) -> None:
    org = many_in_one_job
    new_lead(org)
    spent = Spent(org)

    # 18 s each: after the fourth there is no time for one more call of 20 s, and the conditions'.
    org.fault(Fault(delay_ms=18_000), EVENTS_OF_A_JOB)
    insert_leads(org, EVENTS_OF_A_JOB)
    assert (spent.callouts, spent.jobs) == (8, 2)
    org.clock.set_back(minutes=3)

    spent = Spent(org)
    for _ in range(4):
        insert_leads(org, 35)
    assert (spent.callouts, spent.jobs) == (140, 4 * 5)
    assert not parked(org)
    await assert_arrived_once(penstock, 1 + 8 + 140, effects=0)
    assert not org.failures


def insert_leads(org: Org, captures: int) -> None:
    """Save leads in one transaction, each in a capture of its own, and run what that queued."""
    with org.transaction() as save:
        for n in range(captures):
            save.insert("Lead", {"LastName": f"Doe {n}", "Company": "Acme"})
    org.run_until_idle()
