"""Turns a rule into closures: names, operands and tests are prepared once, not per change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from rules.match import Enroll, Evidence, Match
from rules.model import AllOf, AnyOf, Condition, Not
from rules.operators import build_verdict
from rules.recipient import address_of
from rules.states import States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.change import Change
    from pipeline.objects import Operation, SObject
    from rules.model import Action, Clause, Rule

_Test: TypeAlias = "Callable[[States], bool]"
_Trace: TypeAlias = "Callable[[States], tuple[Evidence, ...]]"
_Perform: TypeAlias = "Callable[[States], Enroll]"


class _Compiled(NamedTuple):
    """A clause's test, and the trace of the conditions that decide it, whichever way it goes."""

    test: _Test
    trace: _Trace


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, ready to be asked about changes.

    `reads`: the fields of its conditions and its recipients, as the rule spells them: those
    whose change is worth a callout. `reads_any_field`: it has no condition, so any change is.
    """

    name: str
    version: int
    object: SObject
    operations: frozenset[Operation]
    include_sync_user: bool
    reads: frozenset[str]
    reads_any_field: bool
    _when: _Compiled
    _then: tuple[_Perform, ...]

    def match(self, change: Change, *, by_sync_user: bool) -> Match | None:
        """Return what the rule makes of `change`, or None when it does not match.

        `by_sync_user`: the change's actor is the org's Sync User.
        """
        if change.object != self.object or change.operation not in self.operations:
            return None
        return self.match_states(States(change), by_sync_user=by_sync_user)

    def match_states(self, states: States, *, by_sync_user: bool) -> Match | None:
        """Match the states of a change of this rule's object and one of its operations."""
        if (by_sync_user and not self.include_sync_user) or not self._when.test(states):
            return None
        return Match(
            rule=self.name,
            version=self.version,
            evidence=self._when.trace(states),
            actions=tuple(perform(states) for perform in self._then),
        )


def compile_rule(rule: Rule, version: int) -> CompiledRule:
    """Compile a parsed rule; `version` is the number under which it was applied."""
    conditions = frozenset(field for clause in rule.clauses for field in _fields(clause))
    recipients = frozenset(action.recipient for action in rule.actions)
    return CompiledRule(
        name=rule.name,
        version=version,
        object=rule.object,
        operations=rule.operations,
        include_sync_user=rule.include_sync_user,
        reads=conditions | recipients,
        reads_any_field=not conditions,
        _when=_compile_all([_compile_clause(clause) for clause in rule.clauses]),
        _then=tuple(_compile_action(action) for action in rule.actions),
    )


def _fields(clause: Clause) -> Iterator[str]:
    match clause:
        case Condition():
            yield clause.field
        case AllOf() | AnyOf():
            for inner in clause.clauses:
                yield from _fields(inner)
        case Not():
            yield from _fields(clause.clause)
        case _:
            assert_never(clause)


def _compile_clause(clause: Clause) -> _Compiled:
    match clause:
        case Condition():
            return _compile_condition(clause)
        case AllOf():
            return _compile_all([_compile_clause(inner) for inner in clause.clauses])
        case AnyOf():
            return _compile_any([_compile_clause(inner) for inner in clause.clauses])
        case Not():
            return _compile_not(_compile_clause(clause.clause))
    assert_never(clause)


def _compile_condition(condition: Condition) -> _Compiled:
    field = condition.field
    verdict = build_verdict(condition.operator, condition.operand)

    def test(states: States) -> bool:
        key = states.key(field)
        return verdict(states.previous.get(key), states.current.get(key))

    def trace(states: States) -> tuple[Evidence, ...]:
        key = states.key(field)
        old, new = states.previous.get(key), states.current.get(key)
        return (
            Evidence(field, condition.operator, condition.operand, old, new, verdict(old, new)),
        )

    return _Compiled(test, trace)


def _compile_all(clauses: Sequence[_Compiled]) -> _Compiled:
    tests = tuple(clause.test for clause in clauses)

    def trace(states: States) -> tuple[Evidence, ...]:
        failed = next((clause for clause in clauses if not clause.test(states)), None)
        if failed is not None:
            return failed.trace(states)
        return tuple(evidence for clause in clauses for evidence in clause.trace(states))

    def test(states: States) -> bool:
        for test_one in tests:  # noqa: SIM110 -- a generator a call costs as much as the tests
            if not test_one(states):
                return False
        return True

    return _Compiled(test, trace)


def _compile_any(clauses: Sequence[_Compiled]) -> _Compiled:
    tests = tuple(clause.test for clause in clauses)

    def trace(states: States) -> tuple[Evidence, ...]:
        held = next((clause for clause in clauses if clause.test(states)), None)
        if held is not None:
            return held.trace(states)
        return tuple(evidence for clause in clauses for evidence in clause.trace(states))

    def test(states: States) -> bool:
        for test_one in tests:  # noqa: SIM110 -- as above
            if test_one(states):
                return True
        return False

    return _Compiled(test, trace)


def _compile_not(clause: _Compiled) -> _Compiled:
    return _Compiled(lambda states: not clause.test(states), clause.trace)


def _compile_action(action: Action) -> _Perform:
    def perform(states: States) -> Enroll:
        return Enroll(
            sequence=action.sequence,
            recipient=address_of(states.value(action.recipient)),
            variables={name: states.value(field) for name, field in action.variables.items()},
            re_enroll=action.re_enroll,
        )

    return perform
