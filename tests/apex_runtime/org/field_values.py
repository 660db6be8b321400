"""What a field accepts: the form in which a value is stored, and the errors that refuse one.

Source: SOAP API Developer Guide, status codes (sforce_api_calls_concepts_core_data_objects).
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.org.schema import Field, FieldType, ObjectType
from tests.apex_runtime.values import ApexDatetime, Id, SObject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.apex_runtime.values import Value

# Status code and message of a refused record.
Error = tuple[str, str]

_SECOND_MS: Final = 1000
_TEXT: Final = frozenset(
    {
        FieldType.TEXT,
        FieldType.TEXT_AREA,
        FieldType.LONG_TEXT_AREA,
        FieldType.EMAIL,
        FieldType.PHONE,
        FieldType.URL,
        FieldType.PICKLIST,
        FieldType.MULTISELECT_PICKLIST,
        FieldType.ENCRYPTED_TEXT,
        FieldType.AUTO_NUMBER,
    }
)


class Refused(Exception):
    """One value that a record may not have."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.error: Error = (status, message)


def record_of(kind: ObjectType, given: Mapping[str, Any]) -> SObject:
    """Return a record for what a test wrote as a plain dict: Python's values become Apex's."""
    record = SObject(kind.name)
    for name, value in given.items():
        defined = kind.field(name)
        if defined is None:
            raise NotModelled(f"no field {kind.name}.{name}")
        if defined.read_only and defined.type is not FieldType.ID:
            raise NotModelled(f"field {kind.name}.{name} is not writeable")
        record.fields[defined.name] = _apex_value(defined, value)
    return record


def _apex_value(defined: Field, value: Any) -> Value:  # noqa: ANN401  a test writes what it likes
    """Return a Python value as the field's Apex type, refusing one of another type."""
    converted: Value
    match defined.apex_type, value:
        case _, None:
            return None
        case "Decimal", int() if not isinstance(value, bool):
            converted = Decimal(value)
        case "Id", str():
            converted = Id(value)
        case "Datetime", dt.datetime():
            converted = ApexDatetime.of(value)
        case (
            ("String", str())
            | ("Boolean", bool())
            | ("Decimal", Decimal())
            | ("Integer", int())
            | ("Datetime", ApexDatetime())
            | ("Date", dt.date())
        ):
            converted = value
        case _:
            raise NotModelled(f"{defined.name} takes {defined.apex_type}, not {value!r}")
    return converted


def stored(defined: Field, value: Value) -> Value:
    """Return a value as the database keeps it; None for what counts as empty.

    Raises:
        Refused: too long, out of range, no email address.
    """
    if value is None:
        return False if defined.type is FieldType.CHECKBOX else None
    match defined.type:
        case FieldType.DATE_TIME:
            if not isinstance(value, ApexDatetime):
                raise NotModelled(f"{defined.name} holds {value!r}")
            return ApexDatetime(value.ms - value.ms % _SECOND_MS)
        case FieldType.NUMBER | FieldType.CURRENCY | FieldType.PERCENT | FieldType.INTEGER:
            return _number(defined, value)
        case FieldType.ID | FieldType.LOOKUP | FieldType.MASTER_DETAIL:
            return _reference(defined, str(value))
        case FieldType.CHECKBOX | FieldType.DATE:
            return value
        case kind if kind in _TEXT:
            return _text(defined, str(value))
        case _:
            raise NotModelled(f"{defined.name} of type {defined.type}")


def _text(defined: Field, value: str) -> str | None:
    """Check a text's length, in UTF-16 units; an empty one is stored as null."""
    length = len(value.encode("utf-16-le", "surrogatepass")) // 2
    if defined.length is not None and length > defined.length:
        shown = value[:255]
        raise Refused(
            "STRING_TOO_LONG",
            f"{defined.name}: data value too large: {shown} (max length={defined.length})",
        )
    if defined.type is FieldType.EMAIL and value and not _is_email(value):
        raise Refused("INVALID_EMAIL_ADDRESS", f"{defined.name}: invalid email address: {value}")
    return value or None


def _is_email(value: str) -> bool:
    """Tell whether a text looks like one address; finer rules of the platform are not modelled."""
    local, at, domain = value.partition("@")
    return bool(local and at and "." in domain) and not any(c.isspace() for c in value)


def _number(defined: Field, value: Value) -> Value:
    """Check the digits before the point; those after it are kept as given."""
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool):
        if not isinstance(value, float):
            raise NotModelled(f"{defined.name} holds {value!r}")
        value = Decimal(repr(value))
    if defined.length is not None:
        whole_digits = defined.length - (defined.scale or 0)
        if abs(value) >= 10**whole_digits:
            raise Refused(
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"{defined.name}: value outside of valid range on numeric field: {value}",
            )
    return value


def _reference(defined: Field, value: str) -> Id:
    """Check the form of an id."""
    if not Id.valid(value):
        raise Refused("MALFORMED_ID", f"{defined.name}: id value of incorrect type: {value}")
    return Id(value)


def default_value(defined: Field) -> Value:
    """Return what a new record has in a field that was not set."""
    if defined.type is FieldType.CHECKBOX:
        return defined.default == "true"
    if defined.default is None or defined.type is FieldType.AUTO_NUMBER:
        return None
    match defined.apex_type:
        case "Decimal":
            return Decimal(defined.default)
        case "Integer":
            return int(defined.default)
        case "String":
            return defined.default
        case other:
            raise NotModelled(f"default of {defined.name}, a {other}")
