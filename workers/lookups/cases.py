"""What rules are asked about: a change as it came, or a record that another's change concerns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from pipeline.objects import Operation, SObject
from rules.states import Parent
from workers.received import ReceivedChange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.change import Change, Fields


class Cause(NamedTuple):
    """A parent's change for which other records are evaluated again.

    They see the parent as this very change left it and before as it found it, whatever has become
    of it since: that is for its later changes to tell. So each transition counts once.
    """

    received: ReceivedChange
    change: Change
    previous: Mapping[str, Fields]
    parents: dict[str, Parent]

    @classmethod
    def of(cls, received: ReceivedChange) -> Self:
        """Decode a parent's change.

        Raises:
            PermanentError: it cannot be read.
        """
        change = received.decode()
        lives = change.operation is not Operation.DELETE
        after = Parent((change.new or {}) if lives else {}, change.captured_at)
        lived = change.operation in {Operation.UPDATE, Operation.DELETE}
        before = (change.old or {}) if lived else {}
        return cls(received, change, {change.record_id: before}, {change.record_id: after})

    def update_of(self, sobject: SObject, record_id: str, fields: bytes) -> ReceivedChange:
        """Return the change that this one is to another record: none of its own fields differs.

        `fields` is the record as it is stored, masked JSON.
        """
        cause = self.received
        return ReceivedChange(
            captured_at=cause.captured_at,
            capture_id=cause.capture_id,
            record_id=record_id,
            org_id=cause.org_id,
            object=sobject,
            operation=Operation.UPDATE,
            sequence=cause.sequence,
            transaction_id=cause.transaction_id,
            actor_id=cause.actor_id,
            callout_id=cause.callout_id,
            received_at=cause.received_at,
            masked=True,
            old=fields,
            new=fields,
        )


class Case(NamedTuple):
    """A change to be judged, by all rules or by those named in `only`, and its cause if any.

    `run_id` is the replay that has it judged again: however old it is by then.
    """

    change: ReceivedChange
    only: frozenset[str] | None = None
    cause: Cause | None = None
    run_id: int | None = None
