from __future__ import annotations

from decimal import Decimal

from msgspec import Raw

from ops.records import FieldChange, RecordChange, changed_fields


def change(operation: str, old: bytes, new: bytes) -> RecordChange:
    return RecordChange("one", operation, 1, Raw(old), Raw(new))


def test_an_update_shows_what_it_replaced_but_not_what_every_update_replaces() -> None:
    old = b'{"Id":"1","Status":"Open","Worth":1.10,"Phone":"7","SystemModstamp":1,"Gone":null}'
    new = b'{"Id":"1","Status":"\\ud83d","Worth":1.1,"SystemModstamp":2,"Score":0.10}'
    assert set(changed_fields(change("update", old, new))) == {
        FieldChange("Status", "Open", "\ud83d"),
        FieldChange("Phone", "7", None),
        FieldChange("Score", None, Decimal("0.10")),
    }


def test_an_insert_sets_fields_and_a_delete_replaces_none() -> None:
    record = b'{"attributes":{"type":"Lead"},"Id":"1","Phone":null}'
    assert changed_fields(change("insert", b"null", record)) == [FieldChange("Id", None, "1")]
    assert changed_fields(change("delete", record, b"null")) == []
    assert changed_fields(change("undelete", b"null", record)) == []
