"""Clauses as closures: a test with three outcomes, and traces of what decided it.

A test returns None where it cannot be decided for want of a parent; what the other clauses decide
by themselves is decided all the same, in whatever order they stand (Kleene's logic).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, assert_never

from rules.gate import plain_texts
from rules.match import Evidence, Traced
from rules.model import READ_OLD, AllOf, AnyOf, Condition, Not, Operator
from rules.operators import build_verdict
from rules.paths import Path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from pipeline.change import Value
    from rules.model import Clause
    from rules.operators import Verdict
    from rules.states import Read, States

Test: TypeAlias = "Callable[[States], bool | None]"


class CompiledClause(NamedTuple):
    """A clause: its test, the conditions that decide it, and all of them.

    `paths`: those through lookups, and whether the value before the change matters.
    """

    test: Test
    trace: Callable[[States], tuple[Evidence, ...]]
    trace_whole: Callable[[States], Traced]
    paths: tuple[tuple[Path, bool], ...]


def compile_clause(clause: Clause, *, waits: bool) -> CompiledClause:
    """Compile one clause; `waits`: a parent that is not synced leaves a condition undecided."""
    match clause:
        case Condition():
            path = Path.parse(clause.field)
            if path.references:
                return _compile_lookup(clause, path, waits=waits)
            return _compile_condition(clause)
        case AllOf():
            return compile_all([compile_clause(inner, waits=waits) for inner in clause.clauses])
        case AnyOf():
            return _compile_any([compile_clause(inner, waits=waits) for inner in clause.clauses])
        case Not():
            return _compile_not(compile_clause(clause.clause, waits=waits))
    assert_never(clause)


def _compile_condition(condition: Condition) -> CompiledClause:
    field = condition.field
    verdict = build_verdict(condition.operator, condition.operand)

    def test(states: States) -> bool:
        old, new = states.pair(field)
        return verdict(old, new, states.moment)

    def see(states: States) -> Evidence:
        old, new = states.pair(field)
        return _evidence(condition, verdict, states, old=old, new=new)

    return CompiledClause(
        _compile_shared(condition) or test,
        lambda states: (see(states),),
        lambda states: _traced(see(states), decided=True),
        (),
    )


def _compile_shared(condition: Condition) -> Test | None:
    """Return the test of what many rules ask of one field: what it takes is found out once."""
    field, operand = condition.field, condition.operand
    match condition.operator:
        case Operator.CHANGED:
            return lambda states: states.has_changed(field)
        case Operator.EQUALS | Operator.IN if texts := plain_texts(operand):
            return lambda states: states.folded(field) in texts
        case Operator.CONTAINS if isinstance(operand, str):
            part = operand.casefold()
            return lambda states: part in (states.folded(field) or "")
        case _:
            return None


def _compile_lookup(condition: Condition, path: Path, *, waits: bool) -> CompiledClause:
    with_old = condition.operator in READ_OLD
    verdict = build_verdict(condition.operator, condition.operand)

    def is_decided(read: Read) -> bool:
        return read.unread is None and not (waits and read.missing is not None)

    def test(states: States) -> bool | None:
        read = states.read(path, with_old=with_old)
        return verdict(read.old, read.new, states.moment) if is_decided(read) else None

    def see(states: States) -> Evidence:
        read = states.read(path, with_old=with_old)
        return _evidence(
            condition,
            verdict,
            states,
            old=read.old if with_old else read.new,
            new=read.new,
            parent=(read.parent_id, read.parent_captured_at),
        )

    return CompiledClause(
        test,
        lambda states: (see(states),),
        lambda states: _traced(
            see(states), decided=is_decided(states.read(path, with_old=with_old))
        ),
        ((path, with_old),),
    )


def _evidence(  # noqa: PLR0913  what a condition saw is that many things
    condition: Condition,
    verdict: Verdict,
    states: States,
    *,
    old: Value,
    new: Value,
    parent: tuple[str | None, int | None] = (None, None),
) -> Evidence:
    return Evidence(
        condition.field,
        condition.operator,
        condition.operand,
        old,
        new,
        verdict(old, new, states.moment),
        *parent,
    )


def _traced(evidence: Evidence, *, decided: bool) -> Traced:
    return Traced("condition", evidence.verdict if decided else None, evidence)


def compile_all(clauses: Sequence[CompiledClause]) -> CompiledClause:
    """Compile clauses that all have to hold; none at all hold."""
    if len(clauses) == 1:
        return clauses[0]
    tests = tuple(clause.test for clause in clauses)

    def test(states: States) -> bool | None:
        verdict: bool | None = True
        for test_one in tests:
            if not (one := test_one(states)):
                if one is False:
                    return False
                verdict = None
        return verdict

    return _grouped("all", clauses, test, decides=False)


def _compile_any(clauses: Sequence[CompiledClause]) -> CompiledClause:
    tests = tuple(clause.test for clause in clauses)

    def test(states: States) -> bool | None:
        verdict: bool | None = False
        for test_one in tests:
            if (one := test_one(states)) is not False:
                if one:
                    return True
                verdict = None
        return verdict

    return _grouped("any", clauses, test, decides=True)


def _grouped(
    kind: Literal["all", "any"], clauses: Sequence[CompiledClause], test: Test, *, decides: bool
) -> CompiledClause:
    """Make a group of which one clause with the verdict `decides` settles the group's."""

    def trace(states: States) -> tuple[Evidence, ...]:
        settling = next((one for one in clauses if one.test(states) is decides), None)
        if settling is not None:
            return settling.trace(states)
        return tuple(evidence for clause in clauses for evidence in clause.trace(states))

    return CompiledClause(
        test,
        trace,
        lambda states: Traced(
            kind,
            test(states),
            clauses=tuple(clause.trace_whole(states) for clause in clauses),
        ),
        _paths(clauses),
    )


def _compile_not(clause: CompiledClause) -> CompiledClause:
    def test(states: States) -> bool | None:
        verdict = clause.test(states)
        return None if verdict is None else not verdict

    return CompiledClause(
        test,
        clause.trace,
        lambda states: Traced("not", test(states), clauses=(clause.trace_whole(states),)),
        clause.paths,
    )


def _paths(clauses: Sequence[CompiledClause]) -> tuple[tuple[Path, bool], ...]:
    return tuple(dict.fromkeys(path for clause in clauses for path in clause.paths))
