"""Whether any values of one field, before and after a change, can meet several conditions at once.

The operators themselves are asked, about a finite choice of values that has one of each sort that
the conditions can tell apart. Where no finite choice could be complete, a condition counts only
for what it asks of an empty field; so an answer of "impossible" is certain, the other is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rules.checks.ladders import Rungs, rungs_of
from rules.model import READ_OLD, Condition, Operator
from rules.moment import Moment
from rules.operators import build_verdict
from rules.values import is_null

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pipeline.change import Value
    from rules.model import Scalar

    _Holds = Callable[[Value, Value], bool]

# Above this many comparisons of an old with a new value, anything is taken to be possible.
_MAX_PAIRS: Final = 20_000
# Any moment is as good as another: what depends on it is left out.
_MOMENT: Final = Moment(1_767_225_600_000)

# The operators that deny another one, and those that are another's second name.
_DENIED: Final = {
    Operator.NOT_EQUALS: Operator.IN,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
    Operator.EXCLUDES: Operator.INCLUDES,
    Operator.IS_EMPTY: Operator.IS_SET,
}
_NAMESAKES: Final = {
    Operator.EQUALS: Operator.IN,
    Operator.BEFORE: Operator.LESS_THAN,
    Operator.AFTER: Operator.GREATER_THAN,
}
_PINNING: Final = frozenset({Operator.IN, Operator.CHANGED_TO})
_EQUALITY: Final = frozenset({*_PINNING, Operator.CHANGED_FROM})
_ORDER: Final = frozenset(
    {
        Operator.GREATER_THAN,
        Operator.AT_LEAST,
        Operator.LESS_THAN,
        Operator.AT_MOST,
        Operator.BETWEEN,
    }
)
_RISING: Final = frozenset({Operator.INCREASED, Operator.DECREASED})
# What texts that differ in case alone always agree on; `matches` minds the case.
_FOLDED_TEXT: Final = frozenset(
    {Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH, Operator.INCLUDES}
)


class Literal(NamedTuple):
    """A condition that has to hold, or has not to."""

    condition: Condition
    wanted: bool


class _Asked(NamedTuple):
    """A literal in one form of several that mean the same."""

    operator: Operator
    operands: tuple[Scalar, ...]
    wanted: bool

    def question(self) -> tuple[Operator, tuple[tuple[type, Scalar], ...]]:
        # By type as well: to Python True is 1, to a rule it is not.
        return self.operator, tuple((type(operand), operand) for operand in self.operands)

    def holds(self) -> _Holds:
        verdict = build_verdict(self.operator, self.operands)
        return lambda old, new: verdict(old, new, _MOMENT) is self.wanted


def is_possible(literals: Sequence[Literal]) -> bool:
    """Tell whether conditions on one field may all be as they are wanted."""
    asked = [_asked(literal) for literal in literals]
    if _denies_itself(asked) or _has_two_ends(asked):
        return False
    equality = [one for one in asked if one.operator in _EQUALITY]
    order = [one for one in asked if one.operator in _ORDER]
    rungs = rungs_of(
        _operands(equality),
        _operands(order),
        rises=any(one.operator in _RISING for one in asked),
        moment=_MOMENT,
    )
    pinned = any(one.wanted and one.operator in _PINNING for one in asked)
    return _has_witness([_test(one, rungs, pinned=pinned) for one in asked], rungs)


def _asked(literal: Literal) -> _Asked:
    operator, operand = literal.condition.operator, literal.condition.operand
    operands = operand if isinstance(operand, tuple) else (operand,)
    if operator in _DENIED:
        return _Asked(_DENIED[operator], operands, not literal.wanted)
    return _Asked(_NAMESAKES.get(operator, operator), operands, literal.wanted)


def _operands(asked: Iterable[_Asked]) -> tuple[Scalar, ...]:
    return tuple(operand for one in asked for operand in one.operands)


def _denies_itself(asked: Sequence[_Asked]) -> bool:
    wanted = {one.question() for one in asked if one.wanted}
    return any(not one.wanted and one.question() in wanted for one in asked)


def _has_two_ends(asked: Sequence[_Asked]) -> bool:
    """Tell whether text would have to begin, or end, in two ways."""

    def parts(operator: Operator) -> list[str]:
        return sorted(
            (
                str(one.operands[0]).casefold()
                for one in asked
                if one.operator is operator and one.wanted
            ),
            key=len,
        )

    starts, ends = parts(Operator.STARTS_WITH), parts(Operator.ENDS_WITH)
    return not (
        all(starts[-1].startswith(start) for start in starts)
        and all(ends[-1].endswith(end) for end in ends)
    )


def _test(one: _Asked, rungs: Rungs, *, pinned: bool) -> tuple[_Holds | None, bool]:
    """Return what a literal asks of (old, new), or None for nothing; and whether old matters."""
    holds = one.holds()
    if one.operator in _ORDER:
        exact = rungs.order_is_exact
    elif one.operator in _EQUALITY or one.operator in READ_OLD or one.operator is Operator.IS_SET:
        exact = True
    else:
        exact = pinned and rungs.texts_are_exact and one.operator in _FOLDED_TEXT
    if exact:
        return holds, one.operator in READ_OLD
    return (None if holds(None, None) else _is_set), False


def _is_set(_old: Value, new: Value) -> bool:
    return not is_null(new)


def _has_witness(tests: Sequence[tuple[_Holds | None, bool]], rungs: Rungs) -> bool:
    of_new = [test for test, reads_old in tests if test is not None and not reads_old]
    of_both = [test for test, reads_old in tests if test is not None and reads_old]
    values = rungs.values
    if len(values) * (len(values) if of_both else 1) > _MAX_PAIRS:
        return True
    return any(
        any(all(test(old, new) for test in of_both) for old in (values if of_both else (None,)))
        for new in values
        if all(test(None, new) for test in of_new)
    )
