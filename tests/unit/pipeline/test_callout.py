from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.callout import (
    MAX_CHANGES,
    ContractError,
    NotJsonError,
    check,
    read,
    slices,
)

LEAD = "00Q5g00000HotLdEAJ"
SHORT_LEAD = "00Q5g00000HotLd"
OTHER = "00Q5g00000OtherEAJ"
SECRET_VALUE = "do-not-show-me"
SNAPSHOT = {
    "operation": "snapshot",
    "read_at": 1795430400123,
    "changes": [{"new": {"Id": LEAD}}],
}


def callout(**keys: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "org_id": "00D5g000004XyzAEAS",
        "object": "Lead",
        "operation": "update",
        "capture_id": "0c9e7d0e-6d3c-4b43-9f0c-0a8f6b7f8f11",
        "transaction_id": "4q8vVhS2cGZk2P-",
        "sequence": 0,
        "captured_at": 1795430400123,
        "actor_id": "0055g00000AbCdEAAV",
        "changes": [{"old": {"Id": LEAD}, "new": {"Id": LEAD}}],
        **keys,
    }


def encoded(**keys: Any) -> bytes:
    return json.dumps(callout(**keys)).encode()


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"actor_id": None},
        {"org_id": "00D5g000004XyzA"},
        {"changes": []},
        {"changes": [{"old": {"Id": LEAD}, "new": {"Id": SHORT_LEAD}}]},
        {"operation": "insert", "changes": [{"new": {"Id": LEAD}}]},
        {"operation": "insert", "changes": [{"old": None, "new": {"Id": LEAD}}]},
        {"operation": "undelete", "changes": [{"new": {"Id": LEAD}}]},
        {"operation": "delete", "changes": [{"old": {"Id": LEAD, "MasterRecordId": OTHER}}]},
        {"sequence": 2**31 - 1},
        {"captured_at": 2**53 - 1},
        {"transaction_id": "~" * 64},
        {"a_key_of_tomorrow": {"deep": [1, None]}},
        {**SNAPSHOT, "changes": [{"new": {"Id": LEAD}}, {"old": None, "new": {"Id": OTHER}}]},
        {**SNAPSHOT, "changes": [{"old": {"Id": LEAD, "absent": "deleted"}, "new": None}]},
        {**SNAPSHOT, "changes": [{"new": {"Id": LEAD}}, {"old": {"Id": LEAD}}]},
        {**SNAPSHOT, "changes": [], "request_id": 2**53 - 1, "total": 0},
        # Whoever captures changes has no use for them, and may say so.
        {"read_at": None, "request_id": None, "total": None},
    ],
)
def test_what_the_contract_allows_is_taken(keys: dict[str, Any]) -> None:
    assert len(check(encoded(**keys)).changes) == len(callout(**keys)["changes"])


def test_whoever_acted_may_be_left_out() -> None:
    document = callout()
    del document["actor_id"]
    assert check(json.dumps(document).encode()).actor_id is None


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({"version": 2}, "$.version"),
        ({"version": "1"}, "$.version"),
        ({"org_id": SECRET_VALUE}, "$.org_id"),
        ({"org_id": "00D5g000004XyzAEAS\n"}, "$.org_id"),
        ({"org_id": "00D5g000004XyzAE"}, "$.org_id"),
        ({"org_id": None}, "$.org_id"),
        ({"object": SECRET_VALUE}, "$.object"),
        ({"object": "lead"}, "$.object"),
        ({"operation": "upsert"}, "$.operation"),
        ({"capture_id": ""}, "$.capture_id"),
        ({"capture_id": "c" * 65}, "$.capture_id"),
        ({"capture_id": "with space"}, "$.capture_id"),
        ({"capture_id": "~abc"}, "$.capture_id"),
        ({"capture_id": "gap:abc"}, "$.capture_id"),
        ({"capture_id": "c\n"}, "$.capture_id"),
        ({"capture_id": "c\x00"}, "$.capture_id"),
        ({"transaction_id": "é"}, "$.transaction_id"),
        ({"transaction_id": 7}, "$.transaction_id"),
        ({"sequence": -1}, "$.sequence"),
        ({"sequence": 2**31}, "$.sequence"),
        ({"sequence": 0.5}, "$.sequence"),
        ({"sequence": True}, "$.sequence"),
        ({"captured_at": -1}, "$.captured_at"),
        ({"captured_at": 2**53}, "$.captured_at"),
        ({"captured_at": 10**30}, "$.captured_at"),
        ({"captured_at": "2026-05-01T12:00:00Z"}, "$.captured_at"),
        ({"actor_id": "nobody"}, "$.actor_id"),
        ({"changes": None}, "$.changes"),
        ({"changes": {}}, "$.changes"),
        ({"changes": [{"new": {"Id": LEAD}}] * (MAX_CHANGES + 1)}, "$.changes"),
        ({"changes": [SECRET_VALUE]}, "$.changes[0]"),
        ({"changes": [{"old": {"Id": LEAD}}]}, "$.changes[0].new"),
        ({"changes": [{"new": {"Id": LEAD}}]}, "$.changes[0].old"),
        ({"changes": [{}]}, "$.changes[0].old"),
        ({"operation": "insert", "changes": [{}]}, "$.changes[0].new"),
        ({"operation": "insert"}, "$.changes[0].old"),
        ({"operation": "undelete"}, "$.changes[0].old"),
        ({"operation": "delete"}, "$.changes[0].new"),
        ({"changes": [{"old": {"Id": LEAD}, "new": []}]}, "$.changes[0].new"),
        ({"changes": [{"old": {"Id": LEAD}, "new": {}}]}, "$.changes[0].new.Id"),
        ({"changes": [{"old": {"id": LEAD}, "new": {"Id": LEAD}}]}, "$.changes[0].old.Id"),
        ({"changes": [{"old": {"Id": LEAD}, "new": {"Id": None}}]}, "$.changes[0].new.Id"),
        ({"changes": [{"old": {"Id": LEAD}, "new": {"Id": LEAD + "\n"}}]}, "$.changes[0].new.Id"),
        ({"changes": [{"old": {"Id": LEAD}, "new": {"Id": OTHER}}]}, "$.changes[0].new.Id"),
        ({**SNAPSHOT, "read_at": None}, "$.read_at"),
        ({**SNAPSHOT, "read_at": -1}, "$.read_at"),
        ({**SNAPSHOT, "read_at": "2026-05-01T12:00:00Z"}, "$.read_at"),
        ({**SNAPSHOT, "request_id": "7"}, "$.request_id"),
        ({**SNAPSHOT, "request_id": -1}, "$.request_id"),
        ({**SNAPSHOT, "total": 0.5}, "$.total"),
        ({**SNAPSHOT, "changes": [{"new": {"Id": LEAD}}, {}]}, "$.changes[1]"),
        (
            {**SNAPSHOT, "changes": [{"old": {"Id": LEAD}, "new": {"Id": LEAD}}]},
            "$.changes[0]",
        ),
        ({**SNAPSHOT, "changes": [{"old": {"absent": "deleted"}}]}, "$.changes[0].old.Id"),
        (
            {"changes": [*callout()["changes"] * 3, {"old": {"Id": LEAD}, "new": {"Id": "x"}}]},
            "$.changes[3].new.Id",
        ),
    ],
)
def test_what_is_not_the_contract_is_refused_with_its_place(
    keys: dict[str, Any], place: str
) -> None:
    with pytest.raises(ContractError) as refused:
        check(encoded(**keys))
    assert refused.value.place == place
    assert SECRET_VALUE not in str(refused.value)


@pytest.mark.parametrize("key", [key for key in callout() if key != "actor_id"])
def test_every_other_key_is_required_and_named_when_it_lacks(key: str) -> None:
    document = callout()
    del document[key]
    with pytest.raises(ContractError, match="required") as refused:
        check(json.dumps(document).encode())
    assert refused.value.place == f"$.{key}"


def test_a_snapshot_without_its_time_of_reading_is_refused() -> None:
    document = callout(**SNAPSHOT)
    del document["read_at"]
    with pytest.raises(ContractError, match="required for snapshot") as refused:
        check(json.dumps(document).encode())
    assert refused.value.place == "$.read_at"


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1"])
def test_json_that_is_no_object_is_not_the_contract(body: bytes) -> None:
    with pytest.raises(ContractError) as refused:
        check(body)
    assert refused.value.place == "$"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        encoded() + b" {}",
        encoded()[:-1],
        b"\xef\xbb\xbf" + encoded(),
        encoded().replace(b"Lead", b"L\xff"),
        encoded().decode().encode("utf-16"),
        encoded().replace(b'"sequence": 0', b'"sequence": NaN'),
        encoded().replace(b'{"Id": "' + LEAD.encode(), b'{"N": 01, "Id": "' + LEAD.encode()),
        encoded().replace(b'{"Id": "' + LEAD.encode(), b'{"N": "\x1a", "Id": "' + LEAD.encode()),
        b"[" * 101 + b"]" * 101,
        b'{"a":' * 200_000,
    ],
)
def test_what_is_no_json_is_told_from_what_is_no_contract(body: bytes) -> None:
    with pytest.raises(NotJsonError):
        check(body)


def test_a_record_may_nest_up_to_the_bound() -> None:
    # The document, the list, the change and the record are four levels.
    nested: list[Any] = []
    for _ in range(95):
        nested = [nested]
    check(encoded(changes=[{"old": {"Id": LEAD}, "new": {"Id": LEAD, "Deep": nested}}]))
    with pytest.raises(NotJsonError, match="deep"):
        check(encoded(changes=[{"old": {"Id": LEAD}, "new": {"Id": LEAD, "Deep": [nested]}}]))


@pytest.mark.parametrize("change_count", [1, 2, 150])
@pytest.mark.parametrize("side", ["old", "new"])
def test_depth_is_found_wherever_it_is(change_count: int, side: str) -> None:
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested]
    operation = {"old": "delete", "new": "insert"}[side]
    changes = [{side: {"Id": LEAD}}] * change_count
    check(encoded(changes=changes, operation=operation))
    for place in ({"deep": nested}, {"changes": [*changes[1:], {**changes[0], "deep": nested}]}):
        with pytest.raises(NotJsonError, match="deep"):
            check(encoded(**{"changes": changes, "operation": operation, **place}))


def test_a_deep_record_is_found_among_many_and_before_another_mistake() -> None:
    change = {"old": {"Id": LEAD}, "new": {"Id": LEAD}}
    nested: list[Any] = []
    for _ in range(200):
        nested = [nested]
    deep = {"old": {"Id": LEAD, "Deep": nested}, "new": {"Id": LEAD}}
    with pytest.raises(NotJsonError, match="deep"):
        check(encoded(changes=[*[change] * 150, deep, *[change] * 20]))
    with pytest.raises(NotJsonError, match="deep"):
        check(encoded(changes=[deep], object="lead"))


RECORDS = st.fixed_dictionaries(
    {"Id": st.just(LEAD)},
    optional={
        "Name": st.text(max_size=80),
        "Amount": st.floats(allow_nan=False, allow_infinity=False),
    },
)
CHANGES = st.lists(st.fixed_dictionaries({"old": RECORDS, "new": RECORDS}), min_size=1, max_size=12)
HEADER = {key: value for key, value in callout().items() if key != "changes"}


@given(changes=CHANGES, max_bytes=st.integers(1, 1500), ascii_only=st.booleans())
def test_slices_are_bounded_and_together_are_the_callout(
    changes: list[dict[str, Any]], max_bytes: int, *, ascii_only: bool
) -> None:
    body = json.dumps(callout(changes=changes), ensure_ascii=ascii_only).encode()
    parts = slices(body, max_bytes)

    assert [
        (bytes(change.old), bytes(change.new)) for part in parts for change in read(part).changes
    ] == [(bytes(change.old), bytes(change.new)) for change in read(body).changes]
    for part in parts:
        document = json.loads(part)
        assert len(part) <= max_bytes or len(document.pop("changes")) == 1
        assert check(part).capture_id == HEADER["capture_id"]
        document.pop("changes", None)
        assert document == HEADER


def test_every_slice_of_a_snapshot_says_when_it_was_read_and_what_it_answers() -> None:
    records = [{"new": {"Id": LEAD, "Name": "x" * 100}}] * 20
    body = encoded(**{**SNAPSHOT, "request_id": 7, "total": 20, "changes": records})
    parts = slices(body, 1000)
    assert len(parts) > 1
    for part in map(check, parts):
        assert (part.read_at, part.request_id, part.total) == (1795430400123, 7, 20)


@pytest.mark.parametrize("operation", ["insert", "delete"])
def test_slices_of_small_changes_are_bounded_too(operation: str) -> None:
    side = "new" if operation == "insert" else "old"
    body = encoded(operation=operation, changes=[{side: {"Id": LEAD}}] * 20_000)
    parts = slices(body, 256 * 1024)
    assert max(map(len, parts)) <= 256 * 1024
    assert sum(len(check(part).changes) for part in parts) == 20_000


def test_a_small_callout_stays_as_it_was_signed() -> None:
    body = encoded()
    assert slices(body, len(body)) == [body]


def test_padding_is_left_behind_when_a_callout_is_large() -> None:
    body = encoded().replace(b'"changes": ', b'"changes": ' + b" " * 1_000_000)
    (part,) = slices(body, 256 * 1024)
    assert len(part) < len(encoded())
    assert check(part) == check(body)
