"""What was ever stored stays readable. See golden/README.md."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline import audit, callout, envelope, json_text
from pipeline.objects import Operation, SObject

GOLDEN = Path(__file__).parent / "golden"
SHA256 = {
    "audit-v1.json": "2acdb2ed1eb0f892bd8195aaf30b8e0854917b3ad4ba4c7ae09af367a9415c99",
    "callout-v1-delete.json": "d6738fe1cb5c3e43d5989ce49bc06174aaa6e07a242bb3a20948f55eb70484ff",
    "callout-v1-insert.json": "b1cbd3541c9ebc84c98b703cd40a797ea60a1431186b47b3159d6d3cc8fa7e7a",
    "callout-v1-snapshot.json": "dc2a65d60bce988ac061842b4ad8fef751445f800ecc7658f6f6fb9597bcb6a1",
    "callout-v1-undelete.json": "67c308038232967aee3fd4fc9bd76500c30a0e7eea772d306138e228ff371148",
    "callout-v1-update.json": "1cce0d0e443a680a668312b5bbb47472ff3f17395cc0adfc0cc9cfd02f1e7875",
    "envelope-v1-audit.msgpack": "5e117ac1cb193b8a9087d9de260fa9ebaf01525976b96d26c49486aa0ea4f547",
    "envelope-v1-gzip.msgpack": "a1b8293ade17dc666b44cb64af1f05fc5164187abc91315a0a8d423b0a9132aa",
    "envelope-v1.msgpack": "08debb2b02146eb5dc2d813dcb06979b2d753159807a9e3af8a68d55c1ca24f1",
}
CALLOUTS = ["update", "insert", "delete", "undelete"]


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def of_operation(operation: str) -> bytes:
    return golden(f"callout-v1-{operation}.json")


def test_no_file_has_changed_and_none_is_missing() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in GOLDEN.iterdir()
        if path.suffix != ".md"
    }
    assert found == SHA256


def test_an_envelope_of_version_1_is_read_to_the_byte() -> None:
    items = envelope.decode(golden("envelope-v1.msgpack"))
    assert [item.callout_id for item in items] == [f"msg_{name}" for name in CALLOUTS]
    assert [item.received_at for item in items] == [1795430400456 + n for n in range(4)]
    assert [item.masked for item in items] == [False, True, False, False]
    for item, operation in zip(items, CALLOUTS, strict=True):
        original = json_text.unmask(item.body) if item.masked else item.body
        assert original == of_operation(operation)
        assert len(callout.read(item.body).changes) >= 1


def test_the_envelope_of_today_is_version_1() -> None:
    assert envelope.encode(envelope.decode(golden("envelope-v1.msgpack"))) == golden(
        "envelope-v1.msgpack"
    )


def test_an_envelope_with_an_audit_and_a_snapshot_is_read_and_written_to_the_byte() -> None:
    message = golden("envelope-v1-audit.msgpack")
    first, second = envelope.decode(message)
    assert (first.kind, first.masked) == (envelope.Kind.AUDIT, False)
    assert first.body == golden("audit-v1.json")
    assert (second.kind, second.masked) == (envelope.Kind.CHANGES, True)
    assert json_text.unmask(second.body) == of_operation("snapshot")
    assert envelope.encode([first, second]) == message


def test_an_envelope_of_gzip_is_read_and_written_to_the_byte() -> None:
    message = golden("envelope-v1-gzip.msgpack")
    items = envelope.decode(message)
    assert [item.masked for item in items] == [False, True]
    for item, operation in zip(items, ["update", "insert"], strict=True):
        text = item.text()
        assert (json_text.unmask(text) if item.masked else text) == of_operation(operation)
    assert envelope.encode(items) == message


@pytest.mark.parametrize("operation", [*CALLOUTS, "snapshot"])
def test_a_callout_of_version_1_is_taken(operation: str) -> None:
    masked = json_text.mask(of_operation(operation))
    checked = callout.check(masked)
    assert checked.operation is Operation(operation)
    read = callout.read(masked)
    for header in callout.Header.__struct_fields__:
        assert getattr(read, header) == getattr(checked, header)


def test_an_update_of_version_1_says_what_it_said() -> None:
    read = callout.read(of_operation("update"))
    assert (read.org_id, read.object, read.actor_id) == (
        "00D5g000004XyzAEAS",
        SObject.LEAD,
        "0055g00000AbCdEAAV",
    )
    assert (read.capture_id, read.transaction_id, read.sequence, read.captured_at) == (
        "0c9e7d0e-6d3c-4b43-9f0c-0a8f6b7f8f11",
        "4q8vVhS2cGZk2P-",
        0,
        1795430400123,
    )
    old, new = (
        json_text.decode_fields(bytes(side)) for side in (read.changes[0].old, read.changes[0].new)
    )
    assert str(old["AnnualRevenue"]) == "1000000.10"
    assert new["AnnualRevenue"] == Decimal("12345678901234567890.12")
    assert old["Company"] == "Zimt & Söhne"
    assert "Company" not in new


def test_an_insert_of_version_1_keeps_every_character_and_ignores_what_is_new() -> None:
    read = callout.read(json_text.mask(of_operation("insert")))
    assert (read.org_id, read.actor_id, read.sequence, read.captured_at) == (
        "00D5g000004XyzA",
        None,
        2**31 - 1,
        0,
    )
    fields = json_text.decode_fields(bytes(read.changes[0].new))
    assert fields["Subject"] == (
        "half \ud83d, nul \x00, sub \x1a, whole \N{GRINNING FACE}, slash \\u0000"
    )
    assert fields == json.loads(of_operation("insert"))["changes"][0]["new"]


def test_a_merge_of_version_1_names_its_winner() -> None:
    (change,) = callout.read(of_operation("delete")).changes
    assert bytes(change.new) == b"null"
    assert json_text.decode_fields(bytes(change.old))["MasterRecordId"] == "0015g00000WinnrAAQ"


def test_a_snapshot_of_version_1_tells_states_and_absences() -> None:
    read = callout.read(json_text.mask(of_operation("snapshot")))
    assert (read.read_at, read.captured_at, read.request_id, read.total) == (
        1795430400123,
        1795430400123,
        7,
        50000,
    )
    state, deleted, unknown = read.changes
    fields = json_text.decode_fields(json_text.unmask(bytes(state.new)))
    assert (fields["Name"], str(fields["AnnualRevenue"])) == ("half \ud83d", "1000000.10")
    assert [json_text.decode_fields(bytes(gone.old))["absent"] for gone in (deleted, unknown)] == [
        "deleted",
        "not found",
    ]
    assert {bytes(side) for side in (state.old, deleted.new, unknown.new)} == {b"null"}


def test_an_audit_of_version_1_says_what_it_said() -> None:
    told = audit.check(golden("audit-v1.json"))
    assert (told.org_id, told.audit_id, told.object, told.read_at) == (
        "00D5g000004XyzAEAS",
        9,
        SObject.LEAD,
        1795430400123,
    )
    assert (told.first, told.last) == ("00Q5g00000AnyLdEAJ", "~")
    assert told.records == [
        ("00Q5g00000HotLdEAJ", 1795430398000),
        ("00Q5g00000NewLdEAJ", 1795430400000),
    ]
