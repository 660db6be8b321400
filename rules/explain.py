"""Evidence as sentences that a person can check against the record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, assert_never

from rules.model import Operator
from rules.values import is_null

if TYPE_CHECKING:
    from pipeline.change import Value
    from rules.match import Evidence, Match
    from rules.model import Operand

MAX_VALUE_CHARACTERS: Final = 100

# What stands between value and operand when the condition held, and when it failed.
_COMPARISONS: Final = {
    Operator.EQUALS: ("equals", "does not equal"),
    Operator.NOT_EQUALS: ("does not equal", "equals"),
    Operator.IN: ("is one of", "is not one of"),
    Operator.NOT_IN: ("is not one of", "is one of"),
    Operator.CONTAINS: ("contains", "does not contain"),
    Operator.NOT_CONTAINS: ("does not contain", "contains"),
    Operator.STARTS_WITH: ("starts with", "does not start with"),
    Operator.ENDS_WITH: ("ends with", "does not end with"),
    Operator.MATCHES: ("matches", "does not match"),
    Operator.INCLUDES: ("includes", "does not include"),
    Operator.EXCLUDES: ("does not include", "includes"),
    Operator.GREATER_THAN: ("is greater than", "is not greater than"),
    Operator.AT_LEAST: ("is at least", "is not at least"),
    Operator.LESS_THAN: ("is less than", "is not less than"),
    Operator.AT_MOST: ("is at most", "is not at most"),
    Operator.BETWEEN: ("is between", "is not between"),
    Operator.BEFORE: ("is before", "is not before"),
    Operator.AFTER: ("is after", "is not after"),
}
# The changes that have a direction of their own.
_CHANGES: Final = {Operator.INCREASED: "increase", Operator.DECREASED: "decrease"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def explain_match(match: Match) -> list[str]:
    """Return one line for each condition that decided, in the order of the rule."""
    return [explain(evidence) for evidence in match.evidence]


def explain(evidence: Evidence) -> str:
    """Return one line such as `Status changed from 'Working' to 'Qualified'`.

    Long values are cut, and characters that do not print are escaped. A value that was read
    through a lookup is followed by the record that it came from.
    """
    return f"{_explain_condition(evidence)}{_shown_parent(evidence)}"


def _explain_condition(evidence: Evidence) -> str:
    match evidence.operator:
        case Operator.IS_SET | Operator.IS_EMPTY:
            return _explain_presence(evidence)
        case (
            Operator.CHANGED
            | Operator.CHANGED_FROM
            | Operator.CHANGED_TO
            | Operator.INCREASED
            | Operator.DECREASED
        ):
            return _explain_change(evidence)
        case (
            Operator.EQUALS
            | Operator.NOT_EQUALS
            | Operator.IN
            | Operator.NOT_IN
            | Operator.CONTAINS
            | Operator.NOT_CONTAINS
            | Operator.STARTS_WITH
            | Operator.ENDS_WITH
            | Operator.MATCHES
            | Operator.INCLUDES
            | Operator.EXCLUDES
            | Operator.GREATER_THAN
            | Operator.AT_LEAST
            | Operator.LESS_THAN
            | Operator.AT_MOST
            | Operator.BETWEEN
            | Operator.BEFORE
            | Operator.AFTER
        ):
            held, failed = _COMPARISONS[evidence.operator]
            phrase = held if evidence.verdict else failed
            operand = _shown_operand(evidence.operator, evidence.operand)
            return f"{evidence.field} {_shown(evidence.new)} {phrase} {operand}"
    assert_never(evidence.operator)


def _explain_presence(evidence: Evidence) -> str:
    if is_null(evidence.new):
        return f"{evidence.field} is empty"
    return f"{evidence.field} is set, to {_shown(evidence.new)}"


def _explain_change(evidence: Evidence) -> str:
    field, old, new = evidence.field, _shown(evidence.old), _shown(evidence.new)
    verb = _CHANGES.get(evidence.operator, "change")
    if evidence.verdict:
        return f"{field} {verb}d from {old} to {new}"
    if evidence.operator is Operator.CHANGED:
        return f"{field} did not change from {old}"
    if evidence.operator in _CHANGES:
        return f"{field} did not {verb}: it was {old} and is {new}"
    direction = "from" if evidence.operator is Operator.CHANGED_FROM else "to"
    operand = _shown_operand(evidence.operator, evidence.operand)
    return f"{field} did not change {direction} {operand}: it was {old} and is {new}"


def _shown_parent(evidence: Evidence) -> str:
    if evidence.parent_id is None:
        return ""
    if evidence.parent_captured_at is None:
        return f" (in {evidence.parent_id})"
    at = _EPOCH + timedelta(milliseconds=evidence.parent_captured_at)
    written = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f" (in {evidence.parent_id} as of {written})"


def _shown_operand(operator: Operator, operand: Operand) -> str:
    if isinstance(operand, tuple | list):  # a list once it has been through JSON
        separator = " and " if operator is Operator.BETWEEN else ", "
        return separator.join(map(_shown, operand))
    return _shown(operand)


def _shown(value: Value) -> str:
    match value:
        case None | "":
            return "(empty)"
        case bool():
            return str(value).lower()
        case str():
            return _cut(repr(value[: MAX_VALUE_CHARACTERS + 1]))
        case int() | Decimal():
            return _cut(str(Decimal(value)))  # Python refuses to print an int of 4,301 digits
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a nested object"
    assert_never(value)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[: MAX_VALUE_CHARACTERS - 1] + "…"
