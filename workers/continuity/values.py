"""When two values of a field are the same, however they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from pipeline.objects import is_salesforce_id, long_id
from rules.temporal import instant_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.change import Fields, Value

    # What is stored, and what a change calls `old`.
    Difference: TypeAlias = tuple[Value, Value]

_MICROSECONDS: Final = 1_000_000
# PostgreSQL's numeric ends at 131,072 digits; no field of Salesforce comes near.
_MAX_DIGIT_COUNT: Final = 1000

# Left out: what Salesforce sets by itself, without a trigger or after it.
SYSTEM_FIELDS: Final = (
    "attributes",
    "Id",
    "CreatedDate",
    "LastModifiedDate",
    "LastModifiedById",
    "SystemModstamp",
    "LastActivityDate",
    "LastViewedDate",
    "LastReferencedDate",
    "LastCURequestDate",
    "LastCUUpdateDate",
    "LastLoginDate",
    "LastPasswordChangeDate",
    "NumberOfFailedLogins",
    "PasswordExpirationDate",
    "FirstCallDateTime",
    "FirstEmailDateTime",
    "ActivityMetricId",
    "ActivityMetricRollupId",
    "HasOpenActivity",
    "HasOverdueTask",
    "PhotoUrl",
)


def normal(value: Value) -> object:
    """Return what a value compares by.

    Absent, null and empty text are one; datetimes count to the second, numbers by value, ids in
    either length. Case counts.
    """
    if isinstance(value, str):
        return _normal_text(value)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | Decimal):
        # A number that is none compares with nothing, not even with itself.
        return str(value) if isinstance(value, Decimal) and not value.is_finite() else value
    return value


def _normal_text(text: str) -> object:
    if not text:
        return None
    if is_salesforce_id(text):
        return long_id(text)
    instant = instant_of(text)
    return text if instant is None else ("instant", instant // _MICROSECONDS)


def is_compound(value: Value) -> bool:
    """Tell whether a value is made up of others, as addresses are; its parts are fields too."""
    return isinstance(value, list | dict)


def differences(
    stored: Fields, told: Fields, counts: Callable[[str], bool]
) -> dict[str, Difference]:
    """Return, of the fields that count, those that differ, with both values."""
    found: dict[str, Difference] = {}
    for name in sorted(stored.keys() | told.keys()):
        one, other = stored.get(name), told.get(name)
        if (
            counts(name)
            and not (is_compound(one) or is_compound(other))
            and normal(one) != normal(other)
        ):
            found[name] = (_storable(one), _storable(other))
    return found


def _storable(value: Value) -> Value:
    """Return a value as JSONB takes it: a number of more digits than it has room for is text."""
    if isinstance(value, Decimal) and (
        not value.is_finite()
        or abs(value.adjusted()) > _MAX_DIGIT_COUNT
        or len(value.as_tuple().digits) > _MAX_DIGIT_COUNT
    ):
        return str(value)
    return value
