"""`Database`, its results, and `AccessLevel`. [apex_methods_system_database]"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList, ApexMap
from tests.apex_runtime.errors import NotModelled
from tests.apex_runtime.language.dynamic_queries import query_with_binds
from tests.apex_runtime.library.registry import (
    Function,
    InSession,
    define,
    getter,
    named,
    platform_object,
)
from tests.apex_runtime.objects import ApexObject
from tests.apex_runtime.scalars import EnumValue
from tests.apex_runtime.types import STRING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.platform import SaveResult
    from tests.apex_runtime.values import SObject, Value

_RESULTS = {
    "insert": "SaveResult",
    "update": "SaveResult",
    "upsert": "UpsertResult",
    "delete": "DeleteResult",
    "undelete": "UndeleteResult",
}

define(
    "AccessLevel",
    by_value=True,
    constants={
        name: ("AccessLevel", functools.partial(platform_object, "AccessLevel", name=name))
        for name in ("SYSTEM_MODE", "USER_MODE")
    },
)


def system_mode_only(level: Value) -> None:
    """Refuse a statement in user mode: nobody checks the user's access here."""
    if not isinstance(level, ApexObject) or level.fields["name"] != "SYSTEM_MODE":
        raise NotModelled("AccessLevel.USER_MODE")


def results_of(outcomes: Iterable[SaveResult], name: str) -> ApexList:
    """Return what became of records as a list of `Database.SaveResult` or its like."""
    return ApexList(named(f"Database.{name}"), [_result(each, name) for each in outcomes])


def _result(outcome: SaveResult, name: str) -> ApexObject:
    errors = ApexList(named("Database.Error"), [_error(*each) for each in outcome.errors])
    return platform_object(
        f"Database.{name}",
        success=outcome.success,
        id=outcome.record_id,
        errors=errors,
        created=outcome.created,
    )


def _error(status: str, message: str) -> ApexObject:
    return platform_object(
        "Database.Error",
        message=message,
        status=EnumValue("StatusCode", status, 0),
        fields=ApexList(STRING),
    )


def _statement(operation: str) -> Function:
    def run(
        session: Session,
        records: SObject | ApexList,
        *options: Value,
    ) -> Value:
        """Run DML; options are allOrNone, the access level, or neither."""
        rows = session.records(records)
        all_or_none = True
        for option in options:
            if isinstance(option, bool):
                all_or_none = option
            else:
                system_mode_only(option)
        outcomes = session.platform.dml(operation, rows, all_or_none=all_or_none)
        results = results_of(outcomes, _RESULTS[operation])
        return results if isinstance(records, ApexList) else results[0]

    return run


def _overloads(operation: str) -> dict[str, InSession]:
    result = f"Database.{_RESULTS[operation]}"
    return {
        f"{operation}({records}{options}) {returns}": InSession(_statement(operation))
        for records, returns in (("SObject", result), ("List<SObject>", f"List<{result}>"))
        for options in ("", ",Boolean", ",AccessLevel", ",Boolean,AccessLevel")
    }


def _query_with_binds(session: Session, soql: str, binds: ApexMap, level: Value) -> Any:  # noqa: ANN401 (rows)
    system_mode_only(level)
    return query_with_binds(session, soql, binds)


def _compiled_elsewhere(*_: Value) -> None:
    raise NotModelled("a call that is compiled by its own rules")


def _savepoint(session: Session) -> ApexObject:
    return platform_object("Savepoint", mark=session.platform.savepoint())  # type: ignore[arg-type]  # the platform's own


define(
    "Database",
    statics={
        **_overloads("insert"),
        **_overloads("update"),
        **_overloads("upsert"),
        **_overloads("delete"),
        **_overloads("undelete"),
        "countQuery(String) Integer": _compiled_elsewhere,
        "query(String) List<SObject>": _compiled_elsewhere,
        "queryWithBinds(String,Map<String,Object>,AccessLevel) List<SObject>": InSession(
            _query_with_binds
        ),
        "countQueryWithBinds(String,Map<String,Object>,AccessLevel) Integer": InSession(
            _query_with_binds
        ),
        "setSavepoint() Savepoint": InSession(_savepoint),
        "rollback(Savepoint) void": InSession(
            lambda session, savepoint: session.platform.rollback(savepoint.fields["mark"])
        ),
    },
)
define("Savepoint")
for _name in ("SaveResult", "UpsertResult", "DeleteResult", "UndeleteResult"):
    define(
        f"Database.{_name}",
        methods={
            "isSuccess() Boolean": getter("success"),
            "getId() Id": getter("id"),
            "getErrors() List<Database.Error>": getter("errors"),
            **({"isCreated() Boolean": getter("created")} if _name == "UpsertResult" else {}),
        },
    )
define(
    "Database.Error",
    methods={
        "getMessage() String": getter("message"),
        "getStatusCode() StatusCode": getter("status"),
        "getFields() List<String>": getter("fields"),
    },
)
define("Database.AllowsCallouts", is_interface=True)
