"""Firing triggers: the program's own, and what tests install as other packages'."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.program import TriggerContext
from tests.apex_runtime.values import ApexThrown, Id, SObject, throw

if TYPE_CHECKING:
    from tests.apex_runtime.org.catalog import Catalog
    from tests.apex_runtime.org.field_values import Error
    from tests.apex_runtime.org.schema import ObjectType
    from tests.apex_runtime.org.store import Row
    from tests.apex_runtime.org.transaction import Transaction
    from tests.apex_runtime.program import Program

# A trigger of another package, in Python.
PythonTrigger = Callable[["Transaction", TriggerContext], None]
# Given a record's fields as they would be stored, the message of a broken rule or None.
ValidationRule = Callable[[Mapping[str, Any]], "str | None"]
# Given a record's fields, and those before the save or None, the fields that a workflow changes.
FieldUpdate = Callable[[Mapping[str, Any], "Mapping[str, Any] | None"], "Mapping[str, Any] | None"]


@dataclass
class Automation:
    """What an org's admins and other packages have installed, by object name."""

    triggers: dict[tuple[str, str], list[PythonTrigger]] = field(default_factory=dict)
    validation_rules: dict[str, list[ValidationRule]] = field(default_factory=dict)
    field_updates: dict[str, list[FieldUpdate]] = field(default_factory=dict)


@dataclass(eq=False)
class Entry:
    """One record on its way through a DML statement.

    `given` is the caller's, `record` the one in `Trigger.new`, `before` and `row` what was and is
    stored.
    """

    index: int
    given: SObject
    record: SObject
    before: Row | None = None
    row: Row | None = None
    record_id: Id | None = None
    errors: list[Error] = field(default_factory=list)


def trigger_record(kind: ObjectType, row: Row, *, read_only: bool) -> SObject:
    """Return a stored row as triggers see it: formulas computed, nulls not populated."""
    record = SObject(kind.name, dict(row), read_only=read_only)
    for each in kind.definitions.values():
        if each.formula is not None:
            value = each.formula(row)
            if value is not None:
                record.fields[each.name] = value
    return record


class Triggers:
    """Runs the triggers of one transaction."""

    def __init__(
        self, tx: Transaction, program: Program, automation: Automation, catalog: Catalog
    ) -> None:
        self._tx = tx
        self._automation = automation
        self._by_event: dict[tuple[str, str], list[Any]] = {}
        for trigger in sorted(program.triggers, key=lambda each: each.name.lower()):
            for event in trigger.events:
                key = (catalog[trigger.object_name].name, event)
                self._by_event.setdefault(key, []).append(trigger)
        # What runs now, innermost last: the entries that `addError` may refuse.
        self._refusable: list[dict[int, Entry]] = []
        self._silent = False

    @contextmanager
    def silent(self, *, unless: bool) -> Iterator[None]:
        """Fire no trigger and ask no validation rule in a block."""
        self._silent = not unless
        try:
            yield
        finally:
            self._silent = False

    def validation_rules(self, kind: ObjectType) -> Sequence[ValidationRule]:
        """Return the rules that a save must pass."""
        return [] if self._silent else self._automation.validation_rules.get(kind.name, [])

    @property
    def running(self) -> bool:
        """Whether the code that runs now was called from a trigger."""
        return bool(self._refusable)

    def fire(
        self,
        kind: ObjectType,
        event: str,
        entries: Sequence[Entry],
        *,
        new: list[SObject] | None,
        old: list[SObject] | None,
    ) -> None:
        """Run every trigger of an event, other packages' first.

        An exception that leaves a trigger becomes the error of every record in the chunk.
        """
        if not entries or self._silent:
            return
        context = TriggerContext(event, new, old)
        refused = new if new is not None else old
        assert refused is not None
        self._refusable.append({id(r): e for r, e in zip(refused, entries, strict=True)})
        name = "another package's trigger"
        try:
            for python_trigger in self._automation.triggers.get((kind.name, event), []):
                python_trigger(self._tx, context)
            for trigger in self._by_event.get((kind.name, event), []):
                name = trigger.name
                self._tx.session.run_trigger(trigger, context)
        except ApexThrown as thrown:
            self._fail(entries, name, event, thrown)
        finally:
            self._refusable.pop()

    @staticmethod
    def _fail(entries: Sequence[Entry], name: str, event: str, thrown: ApexThrown) -> None:
        """Give every record the error of a trigger that threw."""
        phase = "".join(part.capitalize() for part in event.split("_"))
        message = f"{name}: execution of {phase}\n\ncaused by: System.{thrown}"
        for entry in entries:
            entry.errors.append(("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message))

    def add_error(self, record: SObject, message: str) -> None:
        """Refuse a record of the innermost running trigger."""
        entry = self._refusable[-1].get(id(record)) if self._refusable else None
        if entry is None:
            throw("FinalException", "SObject row does not allow errors")
        entry.errors.append(("FIELD_CUSTOM_VALIDATION_EXCEPTION", message))
