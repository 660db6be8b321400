"""Turns a rule into closures: names, operands and tests are prepared once, not per change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final, assert_never

from rules.clause_tests import compile_all, compile_clause
from rules.gate import Gate, gate_of
from rules.match import Call, Enroll, Exit, Judged, Match, Traced
from rules.model import (
    AddToSequence,
    AllOf,
    AnyOf,
    Condition,
    MissingParent,
    Not,
    RemoveFromSequence,
    Webhook,
)
from rules.moment import Moment
from rules.paths import Path
from rules.recipient import address_of
from rules.states import NO_PARENTS, NO_PREVIOUS, States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import tzinfo

    from pipeline.change import Change, Fields, Value
    from pipeline.objects import Operation, SObject
    from rules.clause_tests import CompiledClause, Test
    from rules.match import Effect
    from rules.model import Action, Clause, Rule
    from rules.states import Parent

_NO_MATCH: Final = Judged()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class CompiledRule:
    """A rule, ready to be asked about changes.

    `reads`: the fields and paths of its conditions and its recipients, as the rule spells them:
    those whose change is worth a callout. `reads_any_field`: it has no condition, so any change
    is. `paths`: every path through a lookup that it reads, those of variables too. `fields`: the
    record's own fields that deciding and acting take, reference fields included. `gate`: what has
    to be so before it can match, for an index. `test`: the verdict on `when`, None while it lacks a
    parent.
    """

    name: str
    version: int
    object: SObject
    operations: frozenset[Operation]
    include_sync_user: bool
    max_age_ms: int
    ceiling: int
    missing_parent: MissingParent
    enrolls: bool
    reads: frozenset[str]
    reads_any_field: bool
    paths: frozenset[Path]
    fields: frozenset[str]
    gate: Gate | None
    test: Test
    _clauses: tuple[CompiledClause, ...]
    _when: CompiledClause
    _when_paths: tuple[tuple[Path, bool], ...]
    _then_paths: tuple[Path, ...]
    _then: tuple[Callable[[States], Effect], ...]

    def match(
        self,
        change: Change,
        *,
        by_sync_user: bool,
        zone: tzinfo = UTC,
        parents: Mapping[str, Parent] = NO_PARENTS,
        previous: Mapping[str, Fields] = NO_PREVIOUS,
    ) -> Match | None:
        """Return what the rule makes of `change`, or None: it does not match, or lacks a parent.

        `by_sync_user`: the change's actor is the org's Sync User.
        """
        if change.object != self.object or change.operation not in self.operations:
            return None
        if by_sync_user and not self.include_sync_user:
            return None
        states = States(change, Moment(change.captured_at, zone), parents, previous)
        return self.judge(states).match

    def judge(self, states: States) -> Judged:
        """Judge the states of a change that the rule is to be asked about."""
        verdict = self.test(states)
        if verdict is False:
            return _NO_MATCH
        lacking = self._lacking(states, decided=verdict is True)
        if lacking is not None:
            return lacking
        return Judged(
            Match(
                rule=self.name,
                version=self.version,
                evidence=self._when.trace(states),
                actions=tuple(perform(states) for perform in self._then),
                ceiling=self.ceiling,
            )
        )

    def judge_clauses(self, states: States) -> tuple[bool | None, ...]:
        """Return the verdict on each clause of `when`; None: it lacks a parent."""
        return tuple(clause.test(states) for clause in self._clauses)

    def trace(self, states: States) -> tuple[Traced, ...]:
        """Return each clause of `when` with all its conditions and their verdicts."""
        return tuple(clause.trace_whole(states) for clause in self._clauses)

    def _lacking(self, states: States, *, decided: bool) -> Judged | None:
        """Return the records that stand between the rule and its decision, or None."""
        if decided and not self._then_paths:
            return None
        paths = [*([] if decided else self._when_paths), *((p, False) for p in self._then_paths)]
        found = [states.read(path, with_old=with_old) for path, with_old in paths]
        unread = frozenset(read.unread for read in found if read.unread is not None)
        if unread:
            return Judged(unread=unread)
        if self.missing_parent is MissingParent.EMPTY:
            return None
        missing = frozenset(read.missing for read in found if read.missing is not None)
        return Judged(missing=missing) if missing else None


def compile_rule(rule: Rule, version: int) -> CompiledRule:
    """Compile a parsed rule; `version` is the number under which it was applied."""
    waits = rule.missing_parent is MissingParent.WAIT
    clauses = tuple(compile_clause(clause, waits=waits) for clause in rule.clauses)
    when = compile_all(clauses)
    conditions = frozenset(condition.field for condition in conditions_of(rule.clauses))
    recipients = frozenset(
        action.recipient for action in rule.actions if not isinstance(action, Webhook)
    )
    told = frozenset(text for action in rule.actions for text in _told(action))
    read = [Path.parse(text) for text in sorted(conditions | recipients | told)]
    then = {Path.parse(text) for text in recipients | told}
    return CompiledRule(
        name=rule.name,
        version=version,
        object=rule.object,
        operations=rule.operations,
        include_sync_user=rule.include_sync_user,
        max_age_ms=rule.max_age * 1000,
        ceiling=rule.ceiling,
        missing_parent=rule.missing_parent,
        enrolls=any(isinstance(action, AddToSequence) for action in rule.actions),
        reads=conditions | recipients,
        reads_any_field=not conditions,
        paths=frozenset(path for path in read if path.references),
        fields=frozenset((*path.references, path.field)[0] for path in read),
        gate=gate_of(rule.clauses),
        test=when.test,
        _clauses=clauses,
        _when=when,
        _when_paths=when.paths,
        _then_paths=tuple(sorted(path for path in then if path.references)),
        _then=tuple(_compile_action(action) for action in rule.actions),
    )


def conditions_of(clauses: tuple[Clause, ...]) -> Iterator[Condition]:
    """Yield every condition in `clauses`, however deep."""
    for clause in clauses:
        match clause:
            case Condition():
                yield clause
            case AllOf() | AnyOf():
                yield from conditions_of(clause.clauses)
            case Not():
                yield from conditions_of((clause.clause,))
            case _:
                assert_never(clause)


def _told(action: Action) -> Iterator[str]:
    """Yield the fields whose values an action passes on."""
    match action:
        case AddToSequence():
            yield from action.variables.values()
        case Webhook():
            yield from action.fields.values()
        case RemoveFromSequence():
            pass
        case _:
            assert_never(action)


def _compile_action(action: Action) -> Callable[[States], Effect]:
    match action:
        case AddToSequence():
            return _compile_enroll(action)
        case RemoveFromSequence():
            recipient = _reader(action.recipient)
            return lambda states: Exit(action.sequence, address_of(recipient(states)))
        case Webhook():
            fields = {name: _reader(text) for name, text in action.fields.items()}
            return lambda states: Call(
                action.url, {name: read(states) for name, read in fields.items()}
            )
    assert_never(action)


def _compile_enroll(action: AddToSequence) -> Callable[[States], Effect]:
    recipient = _reader(action.recipient)
    variables = {name: _reader(text) for name, text in action.variables.items()}

    def perform(states: States) -> Effect:
        return Enroll(
            sequence=action.sequence,
            recipient=address_of(recipient(states)),
            variables={name: read(states) for name, read in variables.items()},
            re_enroll=action.re_enroll,
        )

    return perform


def _reader(text: str) -> Callable[[States], Value]:
    path = Path.parse(text)
    return lambda states: states.read(path, with_old=False).new
