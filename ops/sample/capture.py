"""What one trigger invocation captured, laid out as the wire contract has it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from pipeline.change import Value
from pipeline.objects import Operation, SObject

# A record as `JSON.serialize` prints it: `attributes` first, null fields left out.
Record: TypeAlias = dict[str, Value]


class RecordChange(msgspec.Struct, frozen=True):
    """One record before and after; `old` is None on insert and undelete, `new` on delete."""

    old: Record | None
    new: Record | None


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """One trigger invocation: its fields are the contract's keys, in the contract's order.

    `captured_at` is Unix ms. `capture_id` is its identity and survives every retry.
    """

    version: int = 1
    org_id: str
    object: SObject
    operation: Operation
    capture_id: str
    transaction_id: str
    sequence: int
    captured_at: int
    actor_id: str
    changes: tuple[RecordChange, ...]
