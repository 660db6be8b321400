"""What the tests of DML share: a record, and a trigger that notes its calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.apex_runtime.org.org import Org
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import TriggerContext

EVENTS = [
    "BEFORE_INSERT",
    "BEFORE_UPDATE",
    "BEFORE_DELETE",
    "AFTER_INSERT",
    "AFTER_UPDATE",
    "AFTER_DELETE",
    "AFTER_UNDELETE",
]


def lead(name: str, **fields: Any) -> dict[str, Any]:
    return {"LastName": name, "Company": "Acme", **fields}


class Log:
    """A trigger on every event of some objects that notes what it was called with."""

    def __init__(self, org: Org, *objects: str, field: str = "LastName") -> None:
        self.field = field
        self.calls: list[tuple[str, list[Any] | None, list[Any] | None]] = []
        for name in objects:
            for event in EVENTS:
                org.add_trigger(name, event, self)

    def __call__(self, _: Transaction, context: TriggerContext) -> None:
        self.calls.append((context.operation, self.of(context.old), self.of(context.new)))

    def of(self, records: list[Any] | None) -> list[Any] | None:
        return None if records is None else [each.fields.get(self.field) for each in records]

    @property
    def events(self) -> list[str]:
        return [event for event, _, _ in self.calls]
