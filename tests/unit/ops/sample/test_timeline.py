"""DML on the sample org gives the captures that its triggers would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.sample.capture import RecordChange
from ops.sample.records import SampleOrg
from ops.sample.timeline import Run, Timeline
from pipeline.objects import Operation, SObject

if TYPE_CHECKING:
    from ops.sample.capture import Record

START_MS = 1_780_000_000_500


@pytest.fixture
def org() -> SampleOrg:
    return SampleOrg(1)


@pytest.fixture
def timeline(org: SampleOrg) -> Timeline:
    return org.timeline("test", Run(START_MS, step_ms=1_000))


def test_an_insert_has_no_old_and_is_stamped(org: SampleOrg, timeline: Timeline) -> None:
    rep_id = str(org.reps[0]["Id"])
    lead = org.factory("test").lead(rep_id)
    capture = timeline.transaction(rep_id).insert(lead)
    at = "2026-05-28T20:26:40.000+0000"
    stamps: Record = {
        "CreatedDate": at,
        "CreatedById": rep_id,
        "LastModifiedDate": at,
        "LastModifiedById": rep_id,
        "SystemModstamp": at,
    }
    assert (capture.object, capture.operation) == (SObject.LEAD, Operation.INSERT)
    assert capture.changes == (RecordChange(None, lead | stamps),)
    assert capture.actor_id == rep_id


def test_a_cleared_field_is_left_out_of_new(org: SampleOrg, timeline: Timeline) -> None:
    lead = org.factory("test").lead(str(org.reps[0]["Id"]))
    lead_id = str(lead["Id"])
    timeline.transaction("a").insert(lead)
    (change,) = timeline.transaction("b").update({lead_id: {"Phone": None}}).changes
    assert change.old is not None
    assert change.new is not None
    assert change.old["Phone"] == lead["Phone"]
    assert "Phone" not in change.new
    assert change.new["CreatedDate"] == change.old["CreatedDate"]
    assert change.new["LastModifiedDate"] != change.old["LastModifiedDate"]


def test_a_deletes_old_is_the_last_state(org: SampleOrg, timeline: Timeline) -> None:
    rep = org.reps[0]
    capture = timeline.transaction("a").delete(str(rep["Id"]))
    assert capture.operation is Operation.DELETE
    assert capture.changes == (RecordChange(rep, None),)


def test_statements_of_a_transaction_are_numbered_and_share_its_id(
    org: SampleOrg, timeline: Timeline
) -> None:
    first, second, third = (str(rep["Id"]) for rep in org.reps)
    one = timeline.transaction("a")
    captures = [
        one.update({first: {"IsActive": False}}),
        one.update({second: {"IsActive": False}}),
        timeline.transaction("a").update({third: {"IsActive": False}}),
    ]
    assert [capture.sequence for capture in captures] == [0, 1, 0]
    assert captures[0].transaction_id == captures[1].transaction_id != captures[2].transaction_id
    offsets = [capture.captured_at - START_MS for capture in captures]
    assert offsets == [0, 3, 1_000]
