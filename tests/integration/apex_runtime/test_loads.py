"""First loads by the real package, in an org of its own against a plain ingest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apex_runtime.org.callouts import Answer, Fault
from tests.apex_runtime.parse import parser_path
from tests.plain_org import RECORDS, SOBJECTS, connect, deployed, filled, heartbeat, ids, set_row
from tests.salesforce_outage import Spent

if TYPE_CHECKING:
    from tests.plain_ingest import PlainIngest

pytestmark = pytest.mark.skipif(
    parser_path() is None, reason="Apex's parser is not installed: npm ci in apex/"
)


def test_a_load_of_all_objects_sends_what_is_there_in_the_order_of_ids(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = {name: filled(org, name, 400 if name == "Lead" else 200) for name in RECORDS}
    archived, deleted = saved["Task"][7], saved["Task"][8]
    set_row(org, archived, IsArchived=True)
    with org.transaction() as admin:
        admin.delete(deleted)
    saved["Task"].remove(deleted)
    connect(org)
    before = Spent(org)
    for name in SOBJECTS:
        ingest.ask("load", name, since=None, after=None)
    heartbeat(org)
    loaded = ingest.snapshots()
    assert loaded.keys() == set(SOBJECTS)
    for name in RECORDS:
        assert ids(loaded[name]) == sorted(saved[name]), name
    users = [str(row.fields["Id"]) for row in org.select("SELECT Id FROM User")]
    assert ids(loaded["User"]) == sorted(users)
    (task,) = (each for each in loaded["Task"] if each["Id"] == archived)
    assert task["IsArchived"] is True

    # Pages of all take their turns, and each says what it is.
    pages = [each for each in ingest.bodies("/changes") if each["operation"] == "snapshot"]
    assert [each["object"] for each in pages[:7]] == list(SOBJECTS)
    assert {each["object"]: each["total"] for each in pages[:7]} == {
        name: len(records) for name, records in loaded.items()
    }
    assert not any("total" in each for each in pages[7:])
    assert all(each["read_at"] == each["captured_at"] for each in pages)
    assert all(change["old"] is None for each in pages for change in each["changes"])
    assert len({each["capture_id"] for each in pages}) == len(pages)
    assert {each["request_id"] for each in pages} == set(range(1, 8))

    org.advance(minutes=2)
    assert sorted(ingest.acknowledged) == list(range(1, 8))
    # Acknowledged by the second job, which ends the chain.
    assert not org.queue.waiting
    assert before.jobs == 2
    assert not org.failures


def test_a_load_sends_what_triggers_send(ingest: PlainIngest) -> None:
    fields = {"Lead": ["Secret__c EncryptedText(50)", "Score__c Number(4,1)"]}
    org = deployed(ingest, fields=fields)
    connect(org)
    with org.transaction() as admin:
        admin.insert("Penstock_Options__c", {"Exclude_Lead__c": "Email"})
    filled(org, "Lead", 1, Secret__c="1234", Score__c=12, Description="a\nb")
    org.run_until_idle()
    (told,) = (body for body in ingest.bodies("/changes") if body["operation"] == "insert")
    ingest.ask("load", "Lead", since=None)
    heartbeat(org)
    assert ingest.snapshots()["Lead"] == [told["changes"][0]["new"]]
    sent = b"".join(made.body for made in org.callouts)
    assert b"1234" not in sent
    assert b"ana@example.com" not in sent


def test_a_load_may_ask_for_what_changed_since_a_time(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    old = filled(org, "Lead", 3)
    org.clock.advance(60_000)
    since = org.clock.now_ms // 1000 * 1000
    new = filled(org, "Lead", 2)
    connect(org)
    ingest.ask("load", "Lead", since=since)
    heartbeat(org)
    assert ids(ingest.snapshots()["Lead"]) == new
    org.advance(minutes=2)
    ingest.ask("load", "Lead", since=None, after=old[0])
    heartbeat(org)
    assert ids(ingest.snapshots()["Lead"]) == [*new, *old[1:], *new]


def test_an_aborted_load_goes_on_where_ingest_has_it(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 2000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    # Ingest is away after 40 %, and the job that waits for it is aborted.
    answer = Answer(503, "Service Unavailable", {}, b"{}")
    for _ in range(5):
        org.fault(Fault())
    org.fault(Fault(answer=answer))
    heartbeat(org)
    assert len(ingest.snapshots()["Lead"]) == 800
    assert org.queue.abort("PenstockWalk") == 1
    org.advance(minutes=60)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)
    assert ingest.acknowledged == [1]
    assert not org.failures


def test_while_ingest_is_away_a_load_keeps_its_place_and_costs_little(ingest: PlainIngest) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 1000)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    # The heartbeat and two pages are answered, then none for an hour.
    for _ in range(3):
        org.fault(Fault())
    org.fault(Fault(answer=Answer(429, "Too Many", {"Retry-After": "120"}, b"{}")))
    org.fault(Fault(answer=Answer(503, "Away", {"Retry-After": "86400"}, b"{}")))
    org.fault(Fault(answer=Answer(401, "Unauthorized", {}, b"{}")))
    org.fault(Fault(drop_answer=True))
    heartbeat(org)
    before = Spent(org)
    org.advance(minutes=2 + 10 + 10 + 10)
    assert before.minutes[:3] == [2, 12, 22]
    org.advance(minutes=5)
    assert sorted(set(ids(ingest.snapshots()["Lead"]))) == sorted(saved)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)
    assert ingest.acknowledged == [1]
    assert not org.queue.waiting


def test_a_page_that_is_too_large_is_halved_and_one_that_is_refused_awaits_a_person(
    ingest: PlainIngest,
) -> None:
    org = deployed(ingest)
    saved = filled(org, "Lead", 300, Description="x" * 1000)
    connect(org)
    ingest.most_body_bytes = 100_000
    ingest.ask("load", "Lead", since=None)
    heartbeat(org)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)

    org.advance(minutes=2)
    ingest.most_body_bytes = 12 * 1024 * 1024
    ingest.ask("load", "Lead", since=None)
    org.fault(Fault())
    org.fault(Fault(answer=Answer(422, "Unprocessable", {}, b'{"detail":"no"}')))
    heartbeat(org)
    org.advance(minutes=2)
    rows = org.select("SELECT Retry__c, Reason__c, Payload__c FROM Penstock_Parked__c")
    assert {row.fields["Retry__c"] for row in rows} == {False}
    parked = "".join(str(row.fields["Payload__c"]) for row in rows)
    assert parked.count('"Description":') == 200
    assert len(ingest.snapshots()["Lead"]) == 300 + 100
    assert sorted(ingest.acknowledged) == [1, 2]


def test_records_too_wide_for_a_page_take_smaller_ones(ingest: PlainIngest) -> None:
    wide = [f"Notes{number}__c LongTextArea(131072)" for number in range(2)]
    org = deployed(ingest, fields={"Lead": wide})
    saved = []
    for place in range(120):
        notes = {f"Notes{number}__c": f"{place}{number}".ljust(60_000) + "." for number in range(2)}
        saved += filled(org, "Lead", 1, **notes)
    connect(org)
    ingest.ask("load", "Lead", since=None)
    heartbeat(org)
    assert [str(failure.error.args[0])[:20] for failure in org.failures] == ["Apex heap size too l"]
    org.advance(minutes=3)
    assert ids(ingest.snapshots()["Lead"]) == sorted(saved)
    assert len(org.failures) == 1
    assert ingest.acknowledged == [1]
