"""Which updates of a record's chain are held against the state before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pipeline.objects import Operation, SObject
from workers.continuity.links import State, links
from workers.received import ReceivedChange

if TYPE_CHECKING:
    from collections.abc import Sequence


def change(  # noqa: PLR0913  a change is all of that
    at: int,
    old: object,
    new: object,
    *,
    operation: Operation = Operation.UPDATE,
    sequence: int = 0,
    transaction: str | None = None,
) -> ReceivedChange:
    return ReceivedChange(
        captured_at=at,
        capture_id=f"capture-{at}-{sequence}",
        record_id="00Q5g00000HotLdEAJ",
        org_id="00D5g000004XyzAEAS",
        object=SObject.LEAD,
        operation=operation,
        sequence=sequence,
        transaction_id=transaction or f"transaction-{at}",
        actor_id=None,
        callout_id="msg",
        received_at=at,
        masked=False,
        old=None if old is None else msgspec.json.encode({"V": old}),
        new=None if new is None else msgspec.json.encode({"V": new}),
    )


def stored(at: int, value: object, capture_id: str = "stored") -> State:
    return State((at, 0, capture_id), f"transaction-{at}", False, msgspec.json.encode({"V": value}))


def compared(state: State | None, changes: Sequence[ReceivedChange]) -> list[tuple[int, int]]:
    return [(link.before.order[0], link.change.captured_at) for link in links(state, changes)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_each_transition_is_compared_once_with_the_one_before_it(
    capture_counts: list[int], data: st.DataObject
) -> None:
    """Whatever a workflow repeats, and wherever the stored state stands among the changes."""
    chain = []
    for at, repeated in enumerate(capture_counts, start=1):
        old, new = at - 1, at
        chain += [
            change(at, old, new, sequence=sequence, transaction=f"transaction-{at}")
            for sequence in range(repeated + 1)
        ]
    place = data.draw(st.integers(0, len(capture_counts)))
    found = list(links(stored(place, place), chain))
    assert [link.change.captured_at for link in found] == list(
        range(place + 1, len(capture_counts) + 1)
    )
    assert all(link.before.fields == link.change.old for link in found)
    assert all(link.change.sequence == 0 for link in found if link.change.captured_at > place)


def test_nothing_is_compared_with_what_is_not_known() -> None:
    insert = change(1, None, 1, operation=Operation.INSERT)
    assert compared(None, [change(2, 0, 1)]) == []
    assert compared(None, [insert, change(2, 1, 2)]) == [(1, 2)]


def test_an_older_change_is_no_part_of_the_chain() -> None:
    assert compared(stored(5, 1), [change(3, 0, 1), change(7, 1, 2)]) == [(5, 7)]


def test_a_deleted_record_is_not_compared_until_it_lives_again() -> None:
    deleted = change(2, 1, None, operation=Operation.DELETE)
    back = change(4, None, 3, operation=Operation.UNDELETE)
    chain = [deleted, change(3, 1, 2), back, change(5, 3, 4)]
    # An update shows that the record lives; what it was when it was deleted is not asked.
    assert compared(stored(1, 1), chain) == [(4, 5)]


def test_a_snapshot_is_compared_only_with_what_was_captured_after_it_was_read() -> None:
    snapshot = stored(1_000, 1, capture_id=f"~{5_000:015d}-page")
    assert snapshot.seen_at == 5_000
    # Captured before the reading: the snapshot may show it already.
    assert compared(snapshot, [change(4_000, 0, 1)]) == []
    assert compared(snapshot, [change(6_000, 0, 1)]) == [(1_000, 6_000)]
