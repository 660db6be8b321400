"""A record's chain of changes, and which of its links can be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from pipeline.objects import Operation
from workers.healing.reading import read_at_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.received import ReceivedChange


class State(NamedTuple):
    """A record as a change left it, or as a snapshot found it; `fields` is masked JSON.

    `transaction_id` is None where no change is known that left it so.
    """

    order: tuple[int, int, str]
    transaction_id: str | None
    deleted: bool
    fields: bytes

    @classmethod
    def after(cls, change: ReceivedChange) -> Self:
        """Return the state in which a change left its record."""
        deleted = change.operation is Operation.DELETE
        return cls(change.order, change.transaction_id, deleted, change.state)

    @property
    def seen_at(self) -> int:
        """When it was captured or read, in Unix ms."""
        return self.read_at or self.order[0]

    @property
    def read_at(self) -> int | None:
        """When a snapshot was read, in Unix ms; None for the state after a change."""
        return read_at_of(self.order[2])


class Link(NamedTuple):
    """An update, and the state of its record that came before it."""

    before: State
    change: ReceivedChange


def links(stored: State | None, changes: Iterable[ReceivedChange]) -> Iterator[Link]:
    """Yield the links from the stored state through one record's changes, given in their order.

    Not looked at are changes that are older than the stored state: such a one may fill a gap.
    Captures of one transaction that follow each other are one transition: a workflow's update fires
    triggers again with the same `old`. A snapshot may show a change that its key comes before, if
    that was captured before the snapshot was read.
    """
    state = stored
    for change in changes:
        if state is not None and change.order <= state.order:
            continue
        if state is not None and _is_comparable(state, change):
            yield Link(state, change)
        state = State.after(change)


def _is_comparable(state: State, change: ReceivedChange) -> bool:
    read_at = state.read_at
    return (
        change.operation is Operation.UPDATE
        and not state.deleted
        and state.transaction_id != change.transaction_id
        and (read_at is None or read_at < change.captured_at)
    )
