"""Whether a condition fits the type of its field: its operator, and the values that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from pipeline.objects import is_salesforce_id
from rules.checks.catalog import ANY_KIND, Kind
from rules.checks.findings import Severity
from rules.mistakes import near_name
from rules.model import Operator
from rules.temporal import day_of, instant_of, point_of
from rules.values import members_of, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rules.checks.resolve import Resolved
    from rules.model import Condition, Scalar

_EQUAL: Final = ANY_KIND - {Kind.COMPOUND, Kind.OPAQUE}
_PARTS: Final = frozenset({Kind.TEXT, Kind.CHOICE, Kind.CHOICES, Kind.ID})
_POINTS: Final = frozenset({Kind.DATE, Kind.DATETIME})
_RISING: Final = _POINTS | {Kind.NUMBER}
_ORDERED: Final = _RISING | {Kind.TIME, Kind.TEXT, Kind.CHOICE}
# The kinds of field that each operator can be asked of.
KINDS: Final[Mapping[Operator, frozenset[Kind]]] = {
    Operator.EQUALS: _EQUAL,
    Operator.NOT_EQUALS: _EQUAL,
    Operator.IN: _EQUAL,
    Operator.NOT_IN: _EQUAL,
    Operator.CONTAINS: _PARTS,
    Operator.NOT_CONTAINS: _PARTS,
    Operator.STARTS_WITH: _PARTS,
    Operator.ENDS_WITH: _PARTS,
    Operator.MATCHES: _PARTS,
    Operator.INCLUDES: frozenset({Kind.CHOICES}),
    Operator.EXCLUDES: frozenset({Kind.CHOICES}),
    Operator.IS_SET: ANY_KIND,
    Operator.IS_EMPTY: ANY_KIND,
    Operator.GREATER_THAN: _ORDERED,
    Operator.AT_LEAST: _ORDERED,
    Operator.LESS_THAN: _ORDERED,
    Operator.AT_MOST: _ORDERED,
    Operator.BETWEEN: _ORDERED,
    Operator.BEFORE: _POINTS,
    Operator.AFTER: _POINTS,
    Operator.CHANGED: ANY_KIND,
    Operator.CHANGED_FROM: _EQUAL,
    Operator.CHANGED_TO: _EQUAL,
    Operator.INCREASED: _RISING,
    Operator.DECREASED: _RISING,
}
_CHANGE: Final = frozenset(
    {
        Operator.CHANGED,
        Operator.CHANGED_FROM,
        Operator.CHANGED_TO,
        Operator.INCREASED,
        Operator.DECREASED,
    }
)
_BOOLEANS: Final = frozenset({"true", "false"})


def type_problems(condition: Condition, field: Resolved) -> Iterator[tuple[Severity, str]]:
    """Yield what is wrong with a condition on a field of known type."""
    operator = condition.operator
    if not KINDS[operator] & field.kinds:
        yield Severity.ERROR, f"'{operator}' does not fit '{field.name}', which {field.type_name}"
        return
    if operator in _CHANGE and field.is_calculated:
        message = (
            f"'{field.name}' is calculated by Salesforce: where another record or the passing of"
            f" time changes it, nothing is sent, and '{operator}' does not see it"
        )
        yield Severity.WARNING, message
    operands = condition.operand if isinstance(condition.operand, tuple) else (condition.operand,)
    for operand in operands:
        yield from _operand_problems(operator, operand, field)


def _operand_problems(
    operator: Operator, operand: Scalar, field: Resolved
) -> Iterator[tuple[Severity, str]]:
    match operator:
        case (
            Operator.EQUALS
            | Operator.NOT_EQUALS
            | Operator.IN
            | Operator.NOT_IN
            | Operator.CHANGED_FROM
            | Operator.CHANGED_TO
        ):
            if any(_may_equal(operand, kind) for kind in field.kinds):
                yield from _choice_problems(operand, field)
            else:
                yield Severity.ERROR, _misfit(operator, operand, field)
        case (
            Operator.GREATER_THAN
            | Operator.AT_LEAST
            | Operator.LESS_THAN
            | Operator.AT_MOST
            | Operator.BETWEEN
            | Operator.BEFORE
            | Operator.AFTER
        ):
            if not any(_may_order(operand, kind) for kind in KINDS[operator] & field.kinds):
                yield Severity.ERROR, _misfit(operator, operand, field)
        case Operator.INCLUDES | Operator.EXCLUDES:
            yield from _choice_problems(operand, field)
        case (
            Operator.CONTAINS
            | Operator.NOT_CONTAINS
            | Operator.STARTS_WITH
            | Operator.ENDS_WITH
            | Operator.MATCHES
            | Operator.IS_SET
            | Operator.IS_EMPTY
            | Operator.CHANGED
            | Operator.INCREASED
            | Operator.DECREASED
        ):
            return
        case _:
            assert_never(operator)


def _misfit(operator: Operator, operand: Scalar, field: Resolved) -> str:
    return (
        f"'{operator}' compares '{field.name}' with {_shown(operand)}, which it can never hold:"
        f" it {field.type_name}"
    )


def _may_equal(operand: Scalar, kind: Kind) -> bool:  # noqa: PLR0911  one for each sort of kind
    match kind:
        case Kind.TEXT | Kind.CHOICE | Kind.CHOICES | Kind.TIME:
            return True
        case Kind.ID:
            return is_salesforce_id(str(operand))
        case Kind.NUMBER:
            return number_of(operand) is not None
        case Kind.BOOLEAN:
            return str(operand).casefold() in _BOOLEANS
        case Kind.DATE:
            return day_of(operand) is not None
        case Kind.DATETIME:
            return instant_of(operand) is not None
        case Kind.COMPOUND | Kind.OPAQUE:
            return False
    assert_never(kind)


def _may_order(operand: Scalar, kind: Kind) -> bool:
    match kind:
        case Kind.TEXT | Kind.CHOICE | Kind.TIME:
            return True
        case Kind.NUMBER:
            return number_of(operand) is not None
        case Kind.DATE | Kind.DATETIME:
            return point_of(operand) is not None
        case Kind.ID | Kind.BOOLEAN | Kind.CHOICES | Kind.COMPOUND | Kind.OPAQUE:
            return False
    assert_never(kind)


def _choice_problems(operand: Scalar, field: Resolved) -> Iterator[tuple[Severity, str]]:
    """Yield a value that a picklist has not; an inactive one counts as such."""
    if not field.is_known_everywhere or not all(one.values for one in field.fields):
        return
    values = {value.casefold(): value for one in field.fields for value in one.values}
    several = field.kinds == {Kind.CHOICES}
    given = members_of(str(operand)) if several else {str(operand).casefold()}
    restricted = all(one.restricted for one in field.fields)
    for missing in sorted(given - values.keys()):
        near = near_name(missing, values.values())
        shown = missing if several else str(operand)
        yield (
            Severity.ERROR if restricted else Severity.WARNING,
            f"'{shown}' is no active value of the picklist '{field.name}' of {field.owner}{near}",
        )


def _shown(operand: Scalar) -> str:
    if isinstance(operand, bool):
        return str(operand).lower()
    return f"'{operand}'" if isinstance(operand, str) else str(operand)
