from __future__ import annotations

import pytest

from pipeline.objects import SObject
from rules.paths import Climb, Path, object_of, parent_objects


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Status", Path((), "Status")),
        ("Account.Industry", Path(("AccountId",), "Industry")),
        ("Owner.Manager.Email", Path(("OwnerId", "ManagerId"), "Email")),
        ("Region__r.Name", Path(("Region__c",), "Name")),
        ("Region__pr.Name", Path(("Region__pc",), "Name")),
        ("AccountId.Industry", Path(("AccountId",), "Industry")),
        ("Region__c.Name", Path(("Region__c",), "Name")),
    ],
)
def test_a_step_is_a_relationship_or_its_reference_field(text: str, path: Path) -> None:
    assert Path.parse(text) == path


def test_polymorphic_references_lead_to_each_object_that_they_may_name() -> None:
    assert parent_objects(SObject.TASK, "WhoId") == {SObject.CONTACT, SObject.LEAD}
    assert parent_objects(SObject.TASK, "whatid") == {SObject.ACCOUNT, SObject.OPPORTUNITY}
    assert parent_objects(SObject.LEAD, "MasterRecordId") == {SObject.LEAD}
    assert parent_objects(SObject.LEAD, "Region__c") == frozenset(SObject)


def test_an_id_tells_its_object_if_that_is_synced() -> None:
    assert object_of("00Q5g00000HotLdEAJ") is SObject.LEAD
    assert object_of("00G5g00000Queue1EAA") is None


def test_a_climb_knows_what_it_reads_on_the_way() -> None:
    climb = Climb(SObject.OPPORTUNITY, ("AccountId", "OwnerId"), "IsActive")
    assert [climb.step(depth) for depth in range(3)] == ["AccountId", "OwnerId", "IsActive"]
    assert [climb.objects(depth) for depth in range(3)] == [
        {SObject.OPPORTUNITY}, {SObject.ACCOUNT}, {SObject.USER},
    ]  # fmt: skip
