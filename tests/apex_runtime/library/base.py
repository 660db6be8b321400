"""What all values have, enumerations, exceptions, `Type`. [apex_methods_system_exception]"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.containers import ApexList
from tests.apex_runtime.errors import EXCEPTIONS, new_exception, throw
from tests.apex_runtime.language.comparison import equal
from tests.apex_runtime.language.declarations import ClassInfo
from tests.apex_runtime.language.text import value_text
from tests.apex_runtime.library.registry import InSession, define, getter, setter
from tests.apex_runtime.objects import ApexObject
from tests.apex_runtime.scalars import EnumValue, TypeValue
from tests.apex_runtime.types import STRING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.values import Value

define(
    "Object",
    methods={
        "toString() String": InSession(value_text),
        "equals(Object) Boolean": equal,
        "hashCode() Integer": lambda this: hash(this) % 2**31,
    },
)

define(
    "Enum",
    methods={
        "name() String": lambda this: this.name,
        "ordinal() Integer": lambda this: this.ordinal,
        "toString() String": lambda this: this.name,
        "equals(Object) Boolean": lambda this, other: this == other,
        "hashCode() Integer": lambda this: hash(this) % 2**31,
    },
)


def _type_name(this: ApexObject) -> str:
    """Return an exception's class as `getTypeName` gives it: `System.` before the platform's."""
    name = this.cls.name
    return name if isinstance(this.cls, ClassInfo) or "." in name else f"System.{name}"


define(
    "Exception",
    methods={
        "getMessage() String": lambda this: (
            "Script-thrown exception" if this.fields["message"] is None else this.fields["message"]
        ),
        "getCause() Exception": getter("cause"),
        "initCause(Exception) void": setter("cause"),
        "setMessage(String) void": setter("message"),
        "getTypeName() String": _type_name,
        "getStackTraceString() String": lambda this: this.fields.get("trace", ""),
        "getLineNumber() Integer": lambda this: this.fields.get("line", 0),
    },
)


def _constructors(name: str) -> dict[str, Callable[..., Value]]:
    def make(message: str | None = None, cause: ApexObject | None = None) -> ApexObject:
        made = new_exception(name, message)
        made.fields["cause"] = cause
        return made

    return {
        f"new() {name.rpartition('.')[2]}": make,
        f"new(String?) {name.rpartition('.')[2]}": make,
        f"new(Exception) {name.rpartition('.')[2]}": lambda cause: make(None, cause),
        f"new(String?,Exception) {name.rpartition('.')[2]}": make,
    }


def _row(this: ApexObject, place: int) -> ApexObject:
    rows = this.fields.get("rows")
    if not isinstance(rows, ApexList) or not 0 <= place < len(rows):
        throw("ListException", f"List index out of bounds: {place}")
    row = rows[place]
    assert isinstance(row, ApexObject)
    return row


def _rows(this: ApexObject) -> int:
    rows = this.fields.get("rows")
    return len(rows) if isinstance(rows, ApexList) else 0


_DML_METHODS: dict[str, Callable[..., Value]] = {
    "getNumDml() Integer": _rows,
    "getDmlMessage(Integer) String": lambda this, place: _row(this, place).fields["message"],
    "getDmlId(Integer) Id": lambda this, place: _row(this, place).fields["id"],
    "getDmlIndex(Integer) Integer": lambda this, place: _row(this, place).fields["index"],
    "getDmlType(Integer) StatusCode": lambda this, place: EnumValue(
        "StatusCode", str(_row(this, place).fields["status"]), 0
    ),
    "getDmlFieldNames(Integer) List<String>": lambda this, place: (
        _row(this, place).fields["fields"] or ApexList(STRING)
    ),
}

for _exception in EXCEPTIONS.values():
    define(
        _exception.name,
        parent="Exception",
        constructors=_constructors(_exception.name),
        methods=_DML_METHODS if _exception.name == "DmlException" else None,
    )

define("DmlRow", fields={"index": "Integer", "id": "Id", "status": "String", "message": "String"})
define("StatusCode", parent="Enum")


def _for_name(session: Session, name: str) -> TypeValue | None:
    found = session.world.type_named(name, None)
    return None if found is None else TypeValue(found)


def _new_instance(session: Session, this: TypeValue) -> Value:
    cls = session.world.class_of(this.type)
    if cls is None:
        throw("TypeException", f"Not a class that can be made by its type: {this.type}")
    return session.new(cls.name)


define(
    "Type",
    statics={
        "forName(String) Type": InSession(_for_name),
        "forName(String?,String) Type": InSession(
            lambda session, _namespace, name: _for_name(session, name)
        ),
    },
    methods={
        "getName() String": lambda this: str(this.type),
        "newInstance() Object": InSession(_new_instance),
        "toString() String": lambda this: str(this.type),
    },
)

define("Address")
define("Location")
