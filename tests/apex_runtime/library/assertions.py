"""`Assert` and `System.assert…`. [apex_class_System_Assert]"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from tests.apex_runtime.errors import throw
from tests.apex_runtime.language.comparison import equal
from tests.apex_runtime.language.conversion import conforms
from tests.apex_runtime.language.text import text_of
from tests.apex_runtime.library.registry import InSession, define

if TYPE_CHECKING:
    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.scalars import TypeValue
    from tests.apex_runtime.values import Value


def _failed(session: Session, what: str, message: Value) -> NoReturn:
    suffix = "" if message is None else f": {text_of(session, message)}"
    throw("AssertException", f"Assertion Failed{suffix}{what}")


def _same(one: Value, other: Value) -> bool:
    """Compare as an assertion does: texts by their case too."""
    return one == other if isinstance(one, str) and isinstance(other, str) else equal(one, other)


def _are_equal(session: Session, expected: Value, actual: Value, message: Value = None) -> None:
    if not _same(expected, actual):
        told = f": Expected: {text_of(session, expected)}, Actual: {text_of(session, actual)}"
        _failed(session, told, message)


def _are_not_equal(session: Session, expected: Value, actual: Value, message: Value = None) -> None:
    if _same(expected, actual):
        _failed(session, f": Same value: {text_of(session, expected)}", message)


def _is_true(session: Session, condition: Value, message: Value = None) -> None:
    if condition is not True:
        _failed(session, "", message)


def _is_false(session: Session, condition: Value, message: Value = None) -> None:
    if condition is not False:
        _failed(session, "", message)


def _is_null(session: Session, value: Value, message: Value = None) -> None:
    if value is not None:
        _failed(session, f": Expected null, Actual: {text_of(session, value)}", message)


def _is_not_null(session: Session, value: Value, message: Value = None) -> None:
    if value is None:
        _failed(session, ": Expected not null", message)


def _is_instance(session: Session, value: Value, type_: TypeValue, message: Value = None) -> None:
    if value is None or not conforms(session.world, value, type_.type):
        _failed(session, f": Expected an instance of {type_.type}", message)


def _fail(session: Session, message: Value = None) -> None:
    _failed(session, "", message)


define(
    "Assert",
    statics={
        "areEqual(Object,Object) void": InSession(_are_equal),
        "areEqual(Object,Object,String?) void": InSession(_are_equal),
        "areNotEqual(Object,Object) void": InSession(_are_not_equal),
        "areNotEqual(Object,Object,String?) void": InSession(_are_not_equal),
        "fail() void": InSession(_fail),
        "fail(String?) void": InSession(_fail),
        "isFalse(Boolean?) void": InSession(_is_false),
        "isFalse(Boolean?,String?) void": InSession(_is_false),
        "isInstanceOfType(Object,Type) void": InSession(_is_instance),
        "isInstanceOfType(Object,Type,String?) void": InSession(_is_instance),
        "isNotNull(Object) void": InSession(_is_not_null),
        "isNotNull(Object,String?) void": InSession(_is_not_null),
        "isNull(Object) void": InSession(_is_null),
        "isNull(Object,String?) void": InSession(_is_null),
        "isTrue(Boolean?) void": InSession(_is_true),
        "isTrue(Boolean?,String?) void": InSession(_is_true),
    },
)

SYSTEM_ASSERTIONS = {
    "assert(Boolean?) void": InSession(_is_true),
    "assert(Boolean?,Object) void": InSession(_is_true),
    "assertEquals(Object,Object) void": InSession(_are_equal),
    "assertEquals(Object,Object,Object) void": InSession(_are_equal),
    "assertNotEquals(Object,Object) void": InSession(_are_not_equal),
    "assertNotEquals(Object,Object,Object) void": InSession(_are_not_equal),
}
"""Rows of `System`."""
