"""Reading a record's field: null where it is not populated, refused where no query asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import throw

if TYPE_CHECKING:
    from tests.apex_runtime.objects import SObject
    from tests.apex_runtime.values import Value


def field_of(record: SObject, name: str) -> Value:
    """Return the value of a field or parent, named in API spelling. [langCon_apex_SOQL]

    A record that a query gave throws SObjectException for what the query did not ask for and
    nobody has set since.
    """
    if name in record.fields:
        return record.fields[name]
    if record.queried is not None and name not in record.queried:
        throw(
            "SObjectException",
            "SObject row was retrieved via SOQL without querying the requested field: "
            f"{record.type_name}.{name}",
        )
    return None
