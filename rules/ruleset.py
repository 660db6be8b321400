"""All active rules of an org, asked together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.states import States

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.change import Change
    from pipeline.objects import Operation, SObject
    from rules.compile import CompiledRule
    from rules.match import Match


class RuleSet:
    """Compiled rules, found by the object and operation of a change.

    Raises ValueError when two rules bear one name.
    """

    def __init__(self, compiled: Iterable[CompiledRule]) -> None:
        self._rules = tuple(sorted(compiled, key=lambda rule: rule.name))
        self._by_trigger: dict[tuple[SObject, Operation], list[CompiledRule]] = {}
        names: set[str] = set()
        for rule in self._rules:
            if rule.name in names:
                raise ValueError(f"two rules are named {rule.name!r}")
            names.add(rule.name)
            for operation in rule.operations:
                self._by_trigger.setdefault((rule.object, operation), []).append(rule)

    def listens_to(self, sobject: SObject, operation: Operation) -> bool:
        """Tell whether any rule could match such a change, before its records are decoded."""
        return (sobject, operation) in self._by_trigger

    def evaluate(self, change: Change, *, by_sync_user: bool) -> list[Match]:
        """Return the matches of `change`, in the order of the rules' names."""
        rules = self._by_trigger.get((change.object, change.operation))
        if not rules:
            return []
        states = States(change)
        matches = (rule.match_states(states, by_sync_user=by_sync_user) for rule in rules)
        return [match for match in matches if match is not None]

    def watched(self) -> dict[SObject, list[str]]:
        """Return for each object with rules the fields whose update is worth a callout.

        Sorted; empty means any field, since a rule of that object has no condition.
        """
        fields: dict[SObject, set[str]] = {}
        unbounded = {rule.object for rule in self._rules if rule.reads_any_field}
        for rule in self._rules:
            fields.setdefault(rule.object, set()).update(rule.reads)
        return {name: [] if name in unbounded else sorted(reads) for name, reads in fields.items()}
