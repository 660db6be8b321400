"""Heartbeats, resends and audits of the real package, in an org of its own and a plain ingest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.org.callouts import Answer, Fault
from tests.apex_runtime.org.edition import Edition
from tests.apex_runtime.parse import parser_path
from tests.plain_ingest import Reply
from tests.plain_org import RECORDS, anonymous, connect, deployed, filled, heartbeat, ids
from tests.salesforce_outage import Spent

if TYPE_CHECKING:
    from tests.plain_ingest import PlainIngest

pytestmark = pytest.mark.skipif(
    parser_path() is None, reason="Apex's parser is not installed: npm ci in apex/"
)


def test_connecting_starts_a_heartbeat_and_one_every_hour(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    connect(org)
    (first,) = ingest.bodies("/heartbeat")
    assert first["package_version"] == "0.2.0"
    assert (first["api_version"], first["org_id"]) == ("65.0", org.org_id)
    assert (first["parked"], first["overflow"], first["acknowledged"]) == (0, 0, [])
    assert first["async_limit"] == 250_000
    assert abs(first["clock"] - org.clock.now_ms) < 60_000
    # Its version of the conditions had moved.
    org.advance(minutes=24 * 60)
    assert [each["conditions_version"] for each in ingest.bodies("/heartbeat")] == [0, *[1] * 24]
    # Connecting again leaves the schedule.
    connect(org)
    assert len(org.select("SELECT Id FROM CronTrigger")) == 1
    before = Spent(org)
    org.advance(minutes=24 * 60)
    assert (before.jobs, before.callouts) == (48, 24)
    assert org.api_requests == 0
    assert not org.failures


def test_where_no_schedule_is_left_connecting_works(ingest: PlainIngest) -> None:
    org = deployed(ingest, edition=Edition.DEVELOPER)
    for number in range(5):
        anonymous(org, f"System.schedule('{number}', '0 7 * * * ?', new PenstockHourly());")
    connect(org)
    assert len(ingest.bodies("/heartbeat")) == 1
    assert len(org.select("SELECT Id FROM CronTrigger")) == 5


def test_a_resend_tells_of_each_record_whether_it_is_there(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    kept, deleted, gone = filled(org, "Lead", 3)
    (account,) = filled(org, "Account", 1)
    with org.transaction() as admin:
        admin.delete(deleted)
    org.store.remove("Lead", gone)
    org.store.commit()
    connect(org)
    asked = [kept, deleted, gone, account, "no id", "' OR Id != NULL", 7, None, kept[:15]]
    ingest.ask("resend", "Lead", ids=asked)
    ingest.ask("resend", "User", ids=[org.users.admin])
    heartbeat(org)
    assert ids(ingest.snapshots()["Lead"]) == [kept]
    assert ingest.absent() == {deleted: "deleted", gone: "not found"}
    assert ids(ingest.snapshots()["User"]) == [org.users.admin]
    org.advance(minutes=2)
    assert sorted(ingest.acknowledged) == [1, 2]


def test_audits_tile_an_object_exactly(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Contact", 4500)
    with org.transaction() as admin:
        admin.delete(saved[3])
    connect(org)
    audit_id = ingest.ask("audit", "Contact", after=None)
    empty_id = ingest.ask("audit", "Task", after=None)
    before = Spent(org)
    heartbeat(org)
    by_id = {
        request_id: [each for each in ingest.bodies("/audit") if each["audit_id"] == request_id]
        for request_id in (audit_id, empty_id)
    }
    ranges = [(each["after_id"], each["to_id"]) for each in by_id[audit_id]]
    assert ranges == [(None, ranges[0][1]), (ranges[0][1], ranges[1][1]), (ranges[1][1], None)]
    told = [tuple(record) for each in by_id[audit_id] for record in each["records"]]
    rows = org.select("SELECT Id, SystemModstamp FROM Contact ORDER BY Id")
    assert told == [(row.fields["Id"], row.fields["SystemModstamp"].ms) for row in rows]  # type: ignore[union-attr]  # a Datetime
    for each in by_id[audit_id]:
        assert all((each["after_id"] or "") < record[0] for record in each["records"])
        assert each["to_id"] in (None, each["records"][-1][0])
    (end,) = by_id[empty_id]
    assert (end["after_id"], end["to_id"], end["records"]) == (None, None, [])
    # A heartbeat, three pages and one.
    assert before.callouts == 5
    org.advance(minutes=2)
    assert sorted(ingest.acknowledged) == [audit_id, empty_id]


def test_what_is_not_understood_is_neither_done_nor_acknowledged(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    filled(org, "Lead", 1)
    connect(org)
    for kind, name, more in (
        ("dance", "Lead", {}),
        ("load", "Contract", {}),
        ("load", "lead", {}),
        ("load", "Lead WHERE Id != NULL", {}),
        ("load", "Lead", {"after": "' OR Id != NULL"}),
        ("load", "Lead", {"since": "yesterday"}),
        ("resend", "Lead", {"ids": "all"}),
    ):
        ingest.ask(kind, name, **more)
    good = ingest.ask("audit", "Lead")
    heartbeat(org)
    org.advance(minutes=2)
    assert ingest.acknowledged == [good]
    assert ingest.snapshots() == {}
    assert not org.queue.waiting
    assert not org.failures


def test_a_resend_does_not_wait_behind_a_load_and_what_is_known_is_ignored(
    ingest: PlainIngest,
) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 2000)
    connect(org)
    load = ingest.ask("load", "Lead", since=None)

    def ask() -> None:
        ingest.ask("resend", "Lead", ids=[saved[0]])

    for _ in range(3):
        org.fault(Fault())
    org.fault(Fault(before=ask))
    heartbeat(org)
    pages = [each["request_id"] for each in ingest.bodies("/changes")]
    assert pages == [load] * 3 + [load + 1] + [load] * 7
    org.advance(minutes=2)
    assert sorted(ingest.acknowledged) == [load, load + 1]


def test_what_comes_of_an_audit_is_looked_for_a_minute_later(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 2)
    connect(org)
    ingest.ask("audit", "Lead")
    heartbeat(org)
    assert len(org.queue.waiting) == 1
    ingest.ask("resend", "Lead", ids=[saved[1]])
    org.advance(minutes=1)
    assert ids(ingest.snapshots()["Lead"]) == [saved[1]]
    org.advance(minutes=1)
    assert sorted(ingest.acknowledged) == [1, 2]
    assert not org.queue.waiting


def test_a_walk_stays_within_the_limits_and_leaves_jobs_to_the_org(ingest: PlainIngest) -> None:
    org = deployed(ingest, edition=Edition.DEVELOPER)
    saved = filled(org, "Lead", 21_000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    before = Spent(org)
    heartbeat(org)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)
    # 105 pages, of which 98 find room in the first job.
    assert before.jobs == 2
    assert before.callouts == 2 + 105
    for _ in range(2):
        ingest.ask("audit", "Lead")
    heartbeat(org)
    org.advance(minutes=3)
    assert sorted(ingest.acknowledged) == [1, 2, 3]
    assert not org.failures
    assert org.api_requests == 3  # those that brought the leads


def test_two_walks_are_never_queued_and_a_second_one_ends(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 1000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    for _ in range(2):
        org.fault(Fault())
    # While the job runs, its successor is queued by somebody else.
    org.fault(Fault(before=lambda: anonymous(org, "Penstock.heartbeat(); Penstock.heartbeat();")))
    org.fault(Fault(answer=Answer(503, "Away", {}, b"{}")))
    heartbeat(org)
    org.advance(minutes=15)
    assert sorted(set(ids(ingest.snapshots()["Lead"]))) == sorted(saved)
    assert ingest.acknowledged == [1]
    assert not org.queue.waiting


def test_when_the_days_jobs_are_spent_the_walk_waits_for_the_next_heartbeat(
    ingest: PlainIngest,
) -> None:
    org = deployed(ingest, daily_async_executions=1000)
    saved = filled(org, "Lead", 1000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    org.fault(Fault())
    away = Answer(503, "Away", {}, b"{}")
    org.fault(Fault(answer=away, before=lambda: org.queue.use_up(960)))
    org.fault(Fault(answer=away))
    heartbeat(org)
    org.advance(minutes=10)
    assert not org.queue.waiting
    org.advance(minutes=26 * 60)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)


def test_whoever_is_switched_off_tells_how_it_is_and_sends_no_record(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    filled(org, "Lead", 1)
    connect(org)
    with org.transaction() as admin:
        (options,) = admin.insert("Penstock_Options__c", {"Off__c": True})
    ingest.ask("load", "Lead", since=None)
    heartbeat(org)
    assert (len(ingest.bodies("/heartbeat")), ingest.snapshots()) == (2, {})
    assert not org.queue.waiting
    with org.transaction() as admin:
        admin.update("Penstock_Options__c", {"Id": options.record_id, "Off__c": False})
    heartbeat(org)
    assert len(ingest.snapshots()["Lead"]) == 1


def test_a_sandbox_says_nothing(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    connect(org)
    sandbox = org.copy_as_sandbox("00D5g000009SboxEAA")
    heartbeat(sandbox)
    assert not sandbox.callouts


def test_a_heartbeat_brings_the_first_rule_and_starts_the_drain(ingest: PlainIngest) -> None:
    ingest.conditions = (1, {"Lead": ["Status"]})
    org = deployed(ingest)
    connect(org)
    ingest.conditions = (2, {"Lead": ["Status"], "Task": ["Subject"]})
    org.fault(Fault(answer=Answer(403, "Forbidden", {}, b"{}")))
    with org.transaction() as save:
        save.insert("Lead", RECORDS["Lead"])
    org.run_until_idle()
    assert len(org.select("SELECT Id FROM Penstock_Parked__c")) == 1
    org.advance(minutes=60)
    assert not org.select("SELECT Id FROM Penstock_Parked__c")
    with org.transaction() as save:
        save.insert("Task", RECORDS["Task"])
    org.run_until_idle()
    assert [each["object"] for each in ingest.bodies("/changes")] == ["Lead", "Task"]


def test_an_answer_that_no_ingest_gives_ends_nothing_for_good(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    connect(org)
    ingest.replies = [Reply(200, {"requests": [1, None, "x", []]}), Reply(200, [])]
    heartbeat(org)
    heartbeat(org)
    assert not org.failures
    org.advance(minutes=60)
    assert len(ingest.bodies("/heartbeat")) == 2


def test_what_is_asked_for_no_more_ends_with_the_page_under_way(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    filled(org, "Lead", 2000)
    filled(org, "Contact", 4500)
    connect(org)
    load = ingest.ask("load", "Lead", since=None)
    audit = ingest.ask("audit", "Contact", after=None)

    def withdraw() -> None:
        ingest.withdraw(load)
        ingest.withdraw(audit)

    for _ in range(4):
        org.fault(Fault())
    org.fault(Fault(before=withdraw))
    heartbeat(org)
    org.advance(minutes=15)
    # Two pages of each, and one of each that was told.
    assert len(ingest.bodies("/changes")) + len(ingest.bodies("/audit")) <= 6
    assert sorted(ingest.acknowledged) == sorted([load, audit])
    assert not org.queue.waiting


def test_the_schedule_starts_no_walk_beside_one_that_runs(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 1000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    begun: list[int] = []

    def strike_the_hour() -> None:
        anonymous(org, "new PenstockHourly().execute(null);")
        begun.append(len(org.queue.waiting))

    org.fault(Fault())
    org.fault(Fault(before=strike_the_hour))
    heartbeat(org)
    assert begun == [0]
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)
