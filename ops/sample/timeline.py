"""The sample org's DML over time: what its triggers capture as records come, change and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ops.sample import seeds
from ops.sample.capture import Capture, Record, RecordChange
from ops.sample.formats import datetime_text
from pipeline.objects import Operation

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Mapping

    from pipeline.change import Value

# What passes between two triggers of one transaction.
_TRIGGER_MS: Final = 3


def created(record: Record, at_ms: int, actor_id: str) -> Record:
    """Return the record with the system fields that Salesforce fills in on insert."""
    at = datetime_text(at_ms)
    return record | {
        "CreatedDate": at,
        "CreatedById": actor_id,
        "LastModifiedDate": at,
        "LastModifiedById": actor_id,
        "SystemModstamp": at,
    }


def edited(record: Record, values: Mapping[str, Value], at_ms: int, actor_id: str) -> Record:
    """Return the record with these values set; None clears a field, so that it is left out."""
    at = datetime_text(at_ms)
    stamps = {"LastModifiedDate": at, "LastModifiedById": actor_id, "SystemModstamp": at}
    changed: Record = {**record, **values, **stamps}
    return {field: value for field, value in changed.items() if value is not None}


class Run(msgspec.Struct, frozen=True):
    """When a history happens: the first transaction at `start_ms` (Unix ms), then every `step_ms`.

    Capture and transaction ids follow from `salt` too: give each run against one Penstock a salt of
    its own, or its captures count as repeats of an earlier run's.
    """

    start_ms: int
    step_ms: int = 1_000
    salt: str = ""


class Timeline:
    """The current records of a sample org, and its clock.

    `stream` gives capture and transaction ids, and nothing else. `next_ms` is when the next
    transaction will begin.
    """

    def __init__(self, org_id: str, stream: random.Random, run: Run) -> None:
        self.org_id = org_id
        self.stream = stream
        self.records: dict[str, Record] = {}
        self.next_ms = run.start_ms
        self._step_ms = run.step_ms

    def load(self, records: Iterable[Record]) -> None:
        """Put records that exist already, with their system fields, in the org: no trigger runs."""
        self.records.update((str(record["Id"]), record) for record in records)

    def transaction(self, actor_id: str) -> Transaction:
        """Begin a transaction of this user and move the clock on."""
        start_ms = self.next_ms
        self.next_ms += self._step_ms
        return Transaction(self, actor_id, start_ms)


class Transaction:
    """One database transaction: each call is one DML statement and returns what was captured.

    Statements take at least one record and only records of one object, as triggers get them.
    """

    def __init__(self, timeline: Timeline, actor_id: str, now_ms: int) -> None:
        self.now_ms = now_ms
        self._timeline = timeline
        self._actor_id = actor_id
        self._id = seeds.transaction_id(timeline.stream)
        self._sequence = 0

    def insert(self, *records: Record) -> Capture:
        """Insert records as a `RecordFactory` made them."""
        stored = [created(record, self.now_ms, self._actor_id) for record in records]
        self._timeline.load(stored)
        return self._captured(Operation.INSERT, [RecordChange(None, record) for record in stored])

    def update(self, values_by_id: Mapping[str, Mapping[str, Value]]) -> Capture:
        """Set values on records; None clears a field."""
        changes = []
        for record_id, values in values_by_id.items():
            old = self._timeline.records[record_id]
            new = edited(old, values, self.now_ms, self._actor_id)
            self._timeline.records[record_id] = new
            changes.append(RecordChange(old, new))
        return self._captured(Operation.UPDATE, changes)

    def delete(self, *record_ids: str) -> Capture:
        """Delete records; `old` is their last state."""
        gone = [self._timeline.records.pop(record_id) for record_id in record_ids]
        return self._captured(Operation.DELETE, [RecordChange(record, None) for record in gone])

    def _captured(self, operation: Operation, changes: list[RecordChange]) -> Capture:
        state = changes[0].new or changes[0].old or {}
        capture = Capture(
            org_id=self._timeline.org_id,
            object=seeds.object_of(str(state["Id"])),
            operation=operation,
            capture_id=seeds.capture_id(self._timeline.stream),
            transaction_id=self._id,
            sequence=self._sequence,
            captured_at=self.now_ms,
            actor_id=self._actor_id,
            changes=tuple(changes),
        )
        self._sequence += 1
        self.now_ms += _TRIGGER_MS
        return capture
