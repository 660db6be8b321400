"""One row of the table: what an operator makes of a value, and which document says so."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pipeline.objects import Operation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.change import Value
    from rules.model import Operand


class Source(StrEnum):
    """The documents of Salesforce, by title and section."""

    SOQL_COMPARISON = "SOQL and SOSL Reference: Comparison Operators"
    SOQL_FIELD_EXPRESSION = "SOQL and SOSL Reference: fieldExpression Syntax"
    SOQL_DATES = "SOQL and SOSL Reference: Date Formats and Date Literals in WHERE"
    SOQL_PICKLISTS = "SOQL and SOSL Reference: Query Multi-Select Picklists"
    APEX_OPERATORS = "Apex Developer Guide: Expression Operators"
    APEX_TYPES = "Apex Developer Guide: Primitive Data Types"
    FIELD_TYPES = "Object Reference: Field Types"
    ID_TYPE = "Object Reference: Field Types, ID Field Type"
    FILTERS = "Salesforce Help: Filter Operators Reference"
    CONTAINS = "Salesforce Help: Formula Functions, CONTAINS"
    BEGINS = "Salesforce Help: Formula Functions, BEGINS"
    INCLUDES = "Salesforce Help: Formula Functions, INCLUDES"
    REGEX = "Salesforce Help: Formula Functions, REGEX"
    ISBLANK = "Salesforce Help: Formula Functions, ISBLANK"
    ISCHANGED = "Salesforce Help: Formula Functions, ISCHANGED"
    PRIORVALUE = "Salesforce Help: Formula Functions, PRIORVALUE"
    ADDMONTHS = "Salesforce Help: Formula Functions, ADDMONTHS"


class At(NamedTuple):
    """When and where: the change's instant, and the org's time zone."""

    instant: str = "2026-05-08T15:30:00.000Z"
    zone: str = "UTC"


class Case(NamedTuple):
    """`new`, which was `old`, meets `operator: operand` or does not.

    `otherwise` says where Penstock differs from the source, and why. `note` says what the row is
    about, where values do not.
    """

    operator: str
    operand: Operand
    old: Value
    new: Value
    holds: bool
    source: Source
    otherwise: str
    note: str
    at: At
    operation: Operation


Row: TypeAlias = "tuple[str, Operand, Value, bool] | tuple[str, Operand, Value, bool, str]"


def values(
    source: Source, *rows: Row, otherwise: str = "", at: At | None = None
) -> tuple[Case, ...]:
    """Return cases about a value that the change left alone: operator, operand, value, verdict."""
    return tuple(
        Case(
            row[0],
            row[1],
            row[2],
            row[2],
            row[3],
            source,
            otherwise,
            row[4] if len(row) == 5 else "",
            at or At(),
            Operation.UPDATE,
        )
        for row in rows
    )


Step: TypeAlias = (
    "tuple[str, Operand, Value, Value, bool] | tuple[str, Operand, Value, Value, bool, str]"
)


def steps(
    source: Source,
    *rows: Step,
    otherwise: str = "",
    operation: Operation = Operation.UPDATE,
) -> tuple[Case, ...]:
    """Return cases about a change: operator, operand, value before, value after, verdict."""
    return tuple(
        Case(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            source,
            otherwise,
            row[5] if len(row) == 6 else "",
            At(),
            operation,
        )
        for row in rows
    )


def table(*groups: Iterable[Case]) -> tuple[Case, ...]:
    """Return the groups as one table."""
    return tuple(case for group in groups for case in group)
