from __future__ import annotations

from rules import Match
from tests.changes import received, updated
from tests.salesforce import now_ms
from workers.enrollments import Fired
from workers.enrollments.fired import earliest

AT = now_ms()
MATCH = Match("r", 1, (), (), 1000)


def fired(at: int, cause_record_id: str | None = None, **keys: object) -> Fired:
    record = {"Id": "00Q5g00000HotLdEAJ"}
    same = {"transaction_id": "tx", "capture_id": "one"}
    (change,) = received(updated(record, record, captured_at=AT + at, **{**same, **keys}))
    return Fired(change, MATCH, cause_record_id)


def test_the_first_capture_of_a_transaction_fires_a_rule() -> None:
    first, second = fired(1), fired(2)
    assert earliest([second, first]) == earliest([first, second]) == [first]


def test_other_transactions_fire_for_themselves_in_the_order_of_their_keys() -> None:
    one, other = fired(1), fired(2, transaction_id="other")
    assert earliest([one, other]) == [other, one]


def test_of_causes_in_one_capture_the_record_itself_comes_first() -> None:
    own, by_parent, by_other = fired(1), fired(1, "001a"), fired(1, "001b")
    assert earliest([by_other, by_parent]) == [by_parent]
    assert earliest([by_parent, own]) == [own]
