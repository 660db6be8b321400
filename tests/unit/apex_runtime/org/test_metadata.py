"""The org is what the package's own metadata says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apex_runtime.org.metadata import Metadata
from tests.apex_runtime.org.org import Org
from tests.apex_runtime.org.schema import FieldType, Kind
from tests.apex_runtime.parse import parser_path

PACKAGE = Path(__file__).parents[4] / "apex/force-app/main/default"
_OBJECT = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata">'
    "<label>x</label>{}</CustomObject>"
)


def test_everything_in_the_package_is_modelled() -> None:
    metadata = Metadata.read(PACKAGE)
    kinds = {each.kind for each in metadata.objects.values()}
    assert kinds == {Kind.EVENT, Kind.RECORD, Kind.CUSTOM_SETTING}
    prefixes = [each.prefix for each in metadata.objects.values()]
    assert len(set(prefixes)) == len(prefixes)
    (event,) = (each for each in metadata.objects.values() if each.kind is Kind.EVENT)
    (text,) = (each for each in event.definitions.values() if each.type is FieldType.LONG_TEXT_AREA)
    assert text.length == 131_072
    assert all(0 < each.batch_size <= 2000 for each in metadata.subscribers.values())
    assert metadata.remote_sites


def test_another_packages_source_is_deployed_beside_ours(tmp_path: Path) -> None:
    if parser_path() is None:
        pytest.skip("Apex's parser is not installed: npm ci in apex/")
    (tmp_path / "Other.trigger").write_text(
        "trigger Other on Lead (before insert) { Trigger.new[0].Title = 'other'; }"
    )
    org = Org.deploy(PACKAGE, tmp_path)
    with org.transaction() as tx:
        tx.insert("Lead", {"LastName": "x", "Company": "y"})
    assert org.select("SELECT Title FROM Lead")[0].fields["Title"] == "other"


def test_metadata_that_nobody_has_modelled_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects/Odd__c/Odd__c.object-meta.xml"
    path.parent.mkdir(parents=True)
    path.write_text(_OBJECT.format("<odd>1</odd>"))
    with pytest.raises(ValueError, match="odd"):
        Metadata.read(tmp_path)


def test_a_number_field_names_records_by_its_format(tmp_path: Path) -> None:
    if parser_path() is None:
        pytest.skip("Apex's parser is not installed: npm ci in apex/")
    path = tmp_path / "objects/Item__c/Item__c.object-meta.xml"
    path.parent.mkdir(parents=True)
    named = "<nameField><type>AutoNumber</type><displayFormat>I-{000}</displayFormat></nameField>"
    path.write_text(_OBJECT.format(named))
    org = Org.deploy(tmp_path)
    with org.transaction() as tx:
        tx.insert("Item__c", {}, {})
    assert [each.fields["Name"] for each in org.select("SELECT Name FROM Item__c")] == [
        "I-001",
        "I-002",
    ]
