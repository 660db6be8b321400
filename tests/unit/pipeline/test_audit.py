from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audit import MAX_RECORDS, AuditRange, check, read
from pipeline.callout import ContractError, NotJsonError
from pipeline.objects import SObject, long_id

# In the order of their bytes, which is not that of an alphabet.
IDS = [long_id(f"00Q5g0000000{end}") for end in ("001", "00A", "00Z", "00a", "00z", "010")]
SECRET_VALUE = "do-not-show-me"


def document(**keys: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "org_id": "00D5g000004XyzAEAS",
        "audit_id": 9,
        "read_at": 1795430400123,
        "object": "Lead",
        "after_id": None,
        "to_id": None,
        "records": [[IDS[1], 1795430400000], [IDS[3], 1795430400000]],
        **keys,
    }


def encoded(**keys: Any) -> bytes:
    return json.dumps(document(**keys)).encode()


def records(*ids: str) -> dict[str, Any]:
    return {"records": [[record_id, 0] for record_id in ids]}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"records": []},
        {"after_id": IDS[0], "to_id": IDS[3]},
        {"after_id": IDS[0][:15], "to_id": IDS[3][:15]},
        {"after_id": IDS[5], "records": []},
        {"to_id": IDS[5]},
        {"org_id": "00D5g000004XyzA"},
        records(*IDS),
        records(*(record_id[:15] for record_id in IDS)),
        {"a_key_of_tomorrow": [1]},
    ],
)
def test_what_the_contract_allows_is_taken_and_read_alike(keys: dict[str, Any]) -> None:
    told = check(encoded(**keys))

    assert read(encoded(**keys)) == told
    assert [list(record) for record in told.records] == document(**keys)["records"]
    assert (told.object, told.audit_id, told.read_at) == (SObject.LEAD, 9, 1795430400123)


@pytest.mark.parametrize("end", ["after_id", "to_id"])
def test_an_end_that_is_left_out_is_the_end_of_the_object(end: str) -> None:
    keys = document()
    del keys[end]
    told = check(json.dumps(keys).encode())

    assert (told.first, told.last) == ("", "~")
    assert all(told.first < record_id <= told.last for record_id in IDS)


def test_the_bounds_have_18_characters_as_the_records_that_are_stored() -> None:
    told = check(encoded(after_id=IDS[0][:15], to_id=IDS[3][:15]))

    assert (told.first, told.last) == (IDS[0], IDS[3])


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"version": 2}, "$.version"),
        ({"org_id": SECRET_VALUE}, "$.org_id"),
        ({"audit_id": None}, "$.audit_id"),
        ({"audit_id": "9"}, "$.audit_id"),
        ({"audit_id": -1}, "$.audit_id"),
        ({"read_at": -1}, "$.read_at"),
        ({"object": SECRET_VALUE}, "$.object"),
        ({"object": "lead"}, "$.object"),
        ({"after_id": ""}, "$.after_id"),
        ({"to_id": "~"}, "$.to_id"),
        ({"records": None}, "$.records"),
        ({"records": [[IDS[0], 0]] * (MAX_RECORDS + 1)}, "$.records"),
        ({"records": [IDS[0]]}, "$.records[0]"),
        ({"records": [[IDS[0]]]}, "$.records[0]"),
        ({"records": [[IDS[0], 0, 0]]}, "$.records[0]"),
        ({"records": [[SECRET_VALUE, 0]]}, "$.records[0][0]"),
        ({"records": [[IDS[0], "2026-05-01T12:00:00Z"]]}, "$.records[0][1]"),
        (records(IDS[3], IDS[1]), "$.records[1][0]"),
        (records(IDS[1], IDS[1]), "$.records[1][0]"),
        # The order is that of bytes: capitals come before small letters.
        (records(IDS[3], IDS[2]), "$.records[1][0]"),
        ({"after_id": IDS[1]}, "$.records[0][0]"),
        ({"to_id": IDS[2]}, "$.records[1][0]"),
        ({"after_id": IDS[4], "to_id": IDS[0], **records(IDS[2])}, "$.records[0][0]"),
    ],
)
def test_what_is_not_the_contract_is_refused_with_its_place(
    keys: dict[str, Any], place: str
) -> None:
    with pytest.raises(ContractError) as refused:
        check(encoded(**keys))
    assert refused.value.place == place
    assert SECRET_VALUE not in str(refused.value)


@pytest.mark.parametrize("key", ["version", "org_id", "audit_id", "read_at", "object", "records"])
def test_every_key_but_the_ends_is_required(key: str) -> None:
    keys = document()
    del keys[key]
    with pytest.raises(ContractError, match="required") as refused:
        check(json.dumps(keys).encode())
    assert refused.value.place == f"$.{key}"


@pytest.mark.parametrize("body", [b"", b"{", encoded()[:-1], b"\xff", b"[" * 101 + b"]" * 101])
def test_what_is_no_json_is_told_from_what_is_no_contract(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        check(body)


def test_what_ingest_has_not_checked_is_poison() -> None:
    with pytest.raises(msgspec.DecodeError):
        read(b"{}")


@given(
    st.lists(st.sampled_from(IDS), max_size=4),
    st.none() | st.sampled_from(IDS),
    st.none() | st.sampled_from(IDS),
)
def test_only_ascending_ids_within_the_range_are_taken(
    ids: list[str], after_id: str | None, to_id: str | None
) -> None:
    ascends = ids == sorted(set(ids))
    is_within = all(
        (after_id is None or after_id < one) and (to_id is None or one <= to_id) for one in ids
    )
    taken: AuditRange | None
    try:
        taken = check(encoded(after_id=after_id, to_id=to_id, **records(*ids)))
    except ContractError:
        taken = None

    assert (taken is not None) is (ascends and is_within)
