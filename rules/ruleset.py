"""All active rules of an org, asked together."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from rules.match import Verdicts, Waiting
from rules.moment import Moment
from rules.paths import Climb
from rules.rule_index import RuleIndex
from rules.states import NO_PARENTS, NO_PREVIOUS, States
from rules.watched import watched

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import tzinfo

    from pipeline.change import Change, Fields
    from pipeline.objects import Operation, SObject
    from rules.compile import CompiledRule
    from rules.match import Match
    from rules.states import Parent
    from rules.watched import Knows

_NOTHING: Final = Verdicts()


class RuleSet:
    """Compiled rules, found by what their conditions need of a change.

    Raises ValueError when two rules bear one name.
    """

    def __init__(self, compiled: Iterable[CompiledRule]) -> None:
        self.rules = tuple(sorted(compiled, key=lambda rule: rule.name))
        by_trigger: dict[tuple[SObject, Operation], list[CompiledRule]] = {}
        names: set[str] = set()
        for rule in self.rules:
            if rule.name in names:
                raise ValueError(f"two rules are named {rule.name!r}")
            names.add(rule.name)
            for operation in rule.operations:
                by_trigger.setdefault((rule.object, operation), []).append(rule)
        self._by_trigger = {trigger: RuleIndex(rules) for trigger, rules in by_trigger.items()}

    def listens_to(self, sobject: SObject, operation: Operation) -> bool:
        """Tell whether any rule could match such a change, before its records are decoded."""
        return (sobject, operation) in self._by_trigger

    def fields(self, sobject: SObject) -> frozenset[str]:
        """Return the own fields of a record that deciding and acting take, as rules spell them."""
        return frozenset(
            field for rule in self.rules if rule.object is sobject for field in rule.fields
        )

    def evaluate(  # noqa: PLR0913  each is a fact of its own about the change
        self,
        change: Change,
        *,
        by_sync_user: bool,
        age_ms: int = 0,
        zone: tzinfo = UTC,
        parents: Mapping[str, Parent] = NO_PARENTS,
        previous: Mapping[str, Fields] = NO_PREVIOUS,
        only: Collection[str] | None = None,
    ) -> Verdicts:
        """Return what the rules make of `change`; matches are in the order of the rules' names.

        `by_sync_user`: the change's actor is the org's Sync User. `age_ms`: how long it took from
        its capture to ingest. `parents`: the records looked up so far, by 18-character id; those
        that are wanted besides are in the answer's `unread`. `previous`: the fields that a
        parent had before, when its own change is why a rule is asked again. `only`: ask no other
        rules than these.
        """
        index = self._by_trigger.get((change.object, change.operation))
        if index is None:
            return _NOTHING
        states = States(change, Moment(change.captured_at, zone), parents, previous)
        matches: list[Match] = []
        waiting: list[Waiting] = []
        unread: set[str] = set()
        too_old: list[str] = []
        for rule in index.candidates(states):
            # Most rules fail here; what comes after is for the few.
            if rule.test(states) is False or (only is not None and rule.name not in only):
                continue
            if by_sync_user and not rule.include_sync_user:
                continue
            judged = rule.judge(states)
            if judged.match is None:
                unread |= judged.unread
                if judged.missing:
                    waiting.append(Waiting(rule.name, rule.version, judged.missing))
            elif age_ms > rule.max_age_ms:
                too_old.append(rule.name)
            else:
                matches.append(judged.match)
        if not (matches or waiting or unread or too_old):
            return _NOTHING
        return Verdicts(tuple(matches), tuple(waiting), frozenset(unread), tuple(too_old))

    def climbs(self) -> frozenset[Climb]:
        """Return every path through lookups that the rules read."""
        return frozenset(
            Climb(rule.object, path.references, path.field)
            for rule in self.rules
            for path in rule.paths
        )

    def watched(self, knows: Knows | None = None) -> dict[SObject, list[str]]:
        """Return for each object that the rules need the fields whose update is worth a callout.

        Sorted; empty means any field. `knows` tells whether an object has a field, as far as it
        is known.
        """
        return watched(self.rules, knows)
