"""The sample org is the same for the same seed, and its load consists of true updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ops.sample.callout import body
from ops.sample.records import SampleOrg
from ops.sample.seeds import object_of
from ops.sample.timeline import Run
from pipeline.objects import Operation, SObject

if TYPE_CHECKING:
    from ops.sample.capture import Capture

RUN = Run(start_ms=1_780_000_000_000, step_ms=5, salt="run 1")


def lead_ids(captures: list[Capture]) -> set[str]:
    changes = [change for capture in captures for change in capture.changes]
    return {str(change.new["Id"]) for change in changes if change.new is not None}


def test_the_same_seed_edits_the_same_bytes() -> None:
    one, other = SampleOrg(11), SampleOrg(11)
    next(other.bulk(1, 3))  # what else was drawn does not show
    assert [*map(body, one.edits(30))] == [*map(body, other.edits(30))]


def test_another_seed_gives_other_people_and_ids() -> None:
    one, other = next(SampleOrg(1).edits(1)), next(SampleOrg(2).edits(1))
    assert one.changes[0].new is not None
    assert other.changes[0].new is not None
    assert one.changes[0].new["Id"] != other.changes[0].new["Id"]
    assert one.changes[0].new["Email"] != other.changes[0].new["Email"]


def test_another_salt_gives_other_captures_of_the_same_edits() -> None:
    org = SampleOrg(1)
    once = list(org.edits(10, Run(1_780_000_000_000, salt="a")))
    again = list(org.edits(10, Run(1_780_000_000_000, salt="b")))
    assert [capture.changes for capture in once] == [capture.changes for capture in again]
    ids = {capture.capture_id for capture in once + again}
    assert len(ids) == 20


def test_edits_and_bulk_of_one_run_share_no_capture_and_no_lead() -> None:
    org = SampleOrg(1)
    edits, bulk = list(org.edits(20, RUN)), list(org.bulk(2, 10, RUN))
    assert not {c.capture_id for c in edits} & {c.capture_id for c in bulk}
    assert not lead_ids(edits) & lead_ids(bulk)


def test_every_edit_updates_one_lead_by_one_field_besides_the_stamps() -> None:
    for capture in SampleOrg(5).edits(60, RUN, lead_count=7):
        assert (capture.object, capture.operation) == (SObject.LEAD, Operation.UPDATE)
        (change,) = capture.changes
        assert change.old is not None
        assert change.new is not None
        differing = {
            field
            for field in change.old.keys() | change.new.keys()
            if change.old.get(field) != change.new.get(field)
        } - {"LastModifiedDate", "LastModifiedById", "SystemModstamp"}
        assert len(differing) == 1
        assert differing <= {"Status", "Rating", "AnnualRevenue"}


@pytest.mark.parametrize("size", [1, 4])
def test_old_is_what_new_was_when_leads_come_round_again(size: int) -> None:
    latest: dict[object, object] = {}
    repeats = 0
    for capture in SampleOrg(5).bulk(12, size, RUN, lead_count=5):
        for change in capture.changes:
            assert change.old is not None
            assert change.new is not None
            if change.old["Id"] in latest:
                repeats += 1
                assert change.old == latest[change.old["Id"]]
            latest[change.new["Id"]] = change.new
    assert len(latest) == 5
    assert repeats == 12 * size - 5


def test_captures_are_timed_by_the_run() -> None:
    times = [capture.captured_at for capture in SampleOrg(5).edits(4, RUN)]
    assert times == [1_780_000_000_000 + step for step in (0, 5, 10, 15)]


def test_a_bulk_capture_has_two_hundred_different_leads() -> None:
    (capture,) = SampleOrg(3).bulk(1)
    assert len(capture.changes) == len(lead_ids([capture])) == 200


@pytest.mark.parametrize("size", [0, 11])
def test_a_bulk_that_would_repeat_a_lead_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size must be from 1 to lead_count"):
        SampleOrg(3).bulk(1, size, lead_count=10)


def test_full_width_leads_are_some_three_kilobytes() -> None:
    for capture in SampleOrg(3).edits(100):
        assert 2 * 2_700 < len(body(capture)) < 2 * 3_400


def test_an_org_given_by_its_short_id_has_the_long_one() -> None:
    assert SampleOrg(1, "00D5g000004XyzA").org_id == "00D5g000004XyzAEAS"


def test_staff_are_different_users() -> None:
    org = SampleOrg(9)
    ids = [str(user["Id"]) for user in org.staff]
    assert len(set(ids)) == len(ids) == 5
    assert {object_of(user_id) for user_id in ids} == {SObject.USER}
    assert len({str(user["Username"]) for user in org.staff}) == 5
