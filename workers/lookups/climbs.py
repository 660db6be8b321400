"""What an org's rules look up, seen from the records that they look up.

A rule of Opportunity that reads `Account.Owner.IsActive` follows two reference fields, and three
fields decide it: the opportunity's AccountId, the account's OwnerId, the user's IsActive. Variables
of a rule are read when it fires, but like the record's own they make nothing fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.objects import Operation
from rules.model import MissingParent
from rules.paths import Climb, Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.change import Change, Fields, Value
    from pipeline.objects import SObject
    from rules import CompiledRule


class Way(NamedTuple):
    """The reference fields, in lower case, that lead from a record of `child` up to another."""

    child: SObject
    references: tuple[str, ...]


class Climbs:
    """Which references have to be kept, and whose change makes which rules matter again.

    `needed`: the (object, reference field) pairs that the rules climb. `kept`: those that are
    written down for another reason as well.
    """

    def __init__(
        self, rules: Iterable[CompiledRule], kept: Iterable[tuple[SObject, str]] = ()
    ) -> None:
        needed: set[tuple[SObject, str]] = set()
        self._levels: dict[Way, tuple[frozenset[SObject], ...]] = {}
        # The object that is looked up, the way to it, the field: the rules that it decides.
        self._rules: dict[SObject, dict[Way, dict[str, list[CompiledRule]]]] = {}
        for rule in rules:
            for climb in sorted(_deciding(rule)):
                levels = tuple(climb.objects(depth) for depth in range(len(climb.references) + 1))
                for depth, sobjects in enumerate(levels):
                    field = climb.step(depth).lower()
                    if depth < len(climb.references):
                        needed.update((sobject, field) for sobject in sobjects)
                    if depth > 0 and Operation.UPDATE in rule.operations:
                        way = Way(rule.object, tuple(map(str.lower, climb.references[:depth])))
                        self._levels[way] = levels[: depth + 1]
                        for sobject in sobjects:
                            ways = self._rules.setdefault(sobject, {})
                            ways.setdefault(way, {}).setdefault(field, []).append(rule)
        self.needed = frozenset(needed)
        self._references: dict[SObject, frozenset[str]] = {}
        for sobject, field in {*needed, *kept}:
            self._references[sobject] = self._references.get(sobject, frozenset()) | {field}

    def __bool__(self) -> bool:
        return bool(self._references)

    def is_watched(self, sobject: SObject) -> bool:
        """Tell whether a change of such a record could matter to others."""
        return sobject in self._rules

    def references(self, sobject: SObject) -> frozenset[str]:
        """Return the reference fields of `sobject` whose values are kept, in lower case."""
        return self._references.get(sobject, frozenset())

    def levels(self, way: Way, depth: int) -> frozenset[SObject]:
        """Return the objects that stand `depth` lookups above the child on a way of the rules."""
        return self._levels[way][depth]

    def moved(self, change: Change) -> dict[Way, frozenset[str]]:
        """Return the ways by which `change` reaches other records, each with the rules to ask.

        A record that is new matters only to rules that took it for empty: others waited for it.
        """
        ways = self._rules.get(change.object)
        if ways is None:
            return {}
        before, after = _sides(change)
        was_missing = change.operation is Operation.INSERT
        found: dict[Way, frozenset[str]] = {}
        for way, fields in ways.items():
            names = frozenset(
                rule.name
                for field, rules in fields.items()
                if before.get(field) != after.get(field)
                for rule in rules
                if not was_missing or rule.missing_parent is MissingParent.EMPTY
            )
            if names:
                found[way] = names
        return found


def lowered(fields: Fields | None) -> Mapping[str, Value]:
    """Return the fields by their names in lower case."""
    return {name.lower(): value for name, value in fields.items()} if fields else {}


def _deciding(rule: CompiledRule) -> Iterator[Climb]:
    for path in map(Path.parse, rule.reads):
        if path.references:
            yield Climb(rule.object, path.references, path.field)


def _sides(change: Change) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
    """Return the record before and after; one that did not live then has no values."""
    before = change.old if change.operation in {Operation.UPDATE, Operation.DELETE} else None
    after = None if change.operation is Operation.DELETE else change.new
    return lowered(before), lowered(after)
