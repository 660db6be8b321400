from __future__ import annotations

import msgspec
import pytest

from pipeline import callout as contract
from pipeline import envelope, json_text
from pipeline.objects import Operation, SObject
from tests.changes import inserted, lead, message, received, updated
from tests.salesforce import LEAD_ID, ORG_ID, callout
from workers.received import decode


def test_every_change_of_every_callout_of_a_message_comes_out() -> None:
    first = callout([{"new": lead()}, {"new": lead(Id="00Q5g00000WarmLEAJ")}], operation="insert")
    changes = received(first, updated(lead(), lead(Status="Open"), sequence=3))

    assert [(change.record_id, change.operation) for change in changes] == [
        (LEAD_ID, Operation.INSERT),
        ("00Q5g00000WarmLEAJ", Operation.INSERT),
        (LEAD_ID, Operation.UPDATE),
    ]
    assert (changes[2].object, changes[2].sequence) == (SObject.LEAD, 3)
    assert [change.callout_id for change in changes] == ["msg_0", "msg_0", "msg_1"]


def test_short_ids_are_lengthened() -> None:
    (change,) = received(
        inserted(lead(Id=LEAD_ID[:15]), org_id=ORG_ID[:15], actor_id="0055g00000AbCdE")
    )

    assert (change.record_id, change.org_id) == (LEAD_ID, ORG_ID)
    assert change.actor_id == "0055g00000AbCdEAAV"


def test_a_deleted_record_keeps_its_last_state() -> None:
    (change,) = received(callout([{"old": lead()}], operation="delete"))

    assert (change.new, change.state) == (None, change.old)


def test_the_original_is_what_apex_wrote_to_the_byte() -> None:
    record = b'{"Id":"%s", "Name" : "half \\ud83d, NUL \\u0000","N":1.10e5}' % LEAD_ID.encode()
    body = msgspec.json.encode(callout([{"new": msgspec.Raw(record)}], operation="insert"))
    (change,) = received(body)

    assert change.masked
    assert change.original(change.new) == record


def test_a_replay_sends_the_change_as_it_came() -> None:
    both = callout([{"old": lead(), "new": lead(Name="Ö")}, {"old": lead(), "new": lead()}])
    change = received(both)[0]
    again = change.as_callout()

    contract.check(again)
    (replayed,) = received(again)
    assert (
        msgspec.structs.replace(
            replayed, callout_id=change.callout_id, received_at=change.received_at
        )
        == change
    )


def test_a_callout_that_cannot_be_decoded_leaves_its_neighbours_alone() -> None:
    changes, _, poison = decode(message(inserted(lead()), b"{", updated(lead(), lead())))

    assert [change.operation for change in changes] == [Operation.INSERT, Operation.UPDATE]
    assert "msg_1" in str(poison)


def test_a_record_without_an_id_is_poison() -> None:
    changes, _, poison = decode(message(callout([{"new": {"Name": "Nobody"}}])))

    assert changes == []
    assert poison is not None


def test_bytes_that_are_not_utf8_are_poison_wherever_they_stand() -> None:
    body = msgspec.json.encode(inserted(lead(Name="here"))).replace(b"here", b"\xff")
    changes, _, poison = decode(message(body, inserted(lead())))

    assert len(changes) == 1
    assert poison is not None


def test_bytes_that_are_no_envelope_are_poison() -> None:
    for body in (b"", b"{}", msgspec.msgpack.encode([0, []]), b"\x91" * 100_000):
        changes, _, poison = decode(body)
        assert changes == []
        assert poison is not None


def test_an_empty_envelope_holds_nothing() -> None:
    assert decode(envelope.encode([])) == ([], [], None)


@pytest.mark.parametrize("modstamp", ["9" * 5000, "1e400", "-0", "[]", '"no time"', '"\\ud83d"'])
def test_a_reading_whose_time_is_none_is_one_without_a_time(modstamp: str) -> None:
    record = b'{"Id":"%s","SystemModstamp":%s}' % (LEAD_ID.encode(), modstamp.encode())
    body = msgspec.json.encode(
        callout([{"new": msgspec.Raw(record)}], operation="snapshot", read_at=1_795_430_400_123)
    )
    contract.check(json_text.mask(body))
    (change,) = received(body)

    assert change.reading is not None
    assert change.reading.modstamp is None
    assert change.original(change.new) == record


@pytest.mark.parametrize("record_id", ["", "\x00" * 18, "0" * 19, "é" * 15, "1" * 100_000])
def test_an_id_that_no_record_has_is_poison(record_id: str) -> None:
    changes, _, poison = decode(message(callout([{"new": {"Id": record_id}}], operation="insert")))

    assert changes == []
    assert poison is not None
