"""One record's change as rules see it: decoded, typed, without its envelope."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal  # noqa: TC003  msgspec reads the annotations at run time
from typing import TypeAlias

import msgspec

from pipeline.objects import Operation, SObject

# A field's value as JSON gave it. Numbers are int or Decimal, so that no digit is lost.
Value: TypeAlias = "str | int | Decimal | bool | list[Value] | dict[str, Value] | None"
Fields: TypeAlias = Mapping[str, "Value"]


class Change(msgspec.Struct, frozen=True, gc=False):
    """One record's old and new state within one capture.

    `old` is None for insert and undelete, `new` for delete. A field that is absent is null.
    `captured_at` is Unix ms; with `sequence` and `capture_id` it orders the changes of a record.
    """

    org_id: str
    object: SObject
    operation: Operation
    record_id: str
    capture_id: str
    transaction_id: str
    sequence: int
    captured_at: int
    actor_id: str | None
    old: Fields | None
    new: Fields | None

    @property
    def order(self) -> tuple[int, int, str]:
        """The key by which the last writer wins."""
        return (self.captured_at, self.sequence, self.capture_id)

    @property
    def current(self) -> Fields:
        """The record's state after the change; a deleted record's last state."""
        state = self.new if self.new is not None else self.old
        return state if state is not None else {}
