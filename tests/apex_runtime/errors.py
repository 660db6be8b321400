"""How running Apex stops: exceptions it may catch, limits it may not, and our own refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from tests.apex_runtime.objects import ApexObject, PlatformClass

if TYPE_CHECKING:
    from tests.apex_runtime.values import Value

_ROOT = frozenset({"exception", "object"})

EXCEPTIONS = {
    name.casefold(): PlatformClass(name, _ROOT)
    for name in (
        "AsyncException",
        "CalloutException",
        "DmlException",
        "DuplicateMessageException",
        "FinalException",
        "HandledException",
        "IllegalArgumentException",
        "InvalidParameterValueException",
        "JSONException",
        "ListException",
        "MathException",
        "NoAccessException",
        "NoDataFoundException",
        "NullPointerException",
        "QueryException",
        "SecurityException",
        "SerializationException",
        "SObjectException",
        "StringException",
        "TypeException",
        "AssertException",
        "EventBus.InvalidReplayIdException",
        "EventBus.RetryableException",
        "LimitException",
        "NoSuchElementException",
        "UnexpectedException",
    )
}
"""The platform's exception classes, by folded name."""


class Located(Exception):
    """A stop that gathers the places (`Class.method: line n`) it passes, innermost first.

    `frame` is the one that it is in: a frame is noted once, where it was.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.places: list[tuple[str, str, int]] = []
        self.frame: object = None

    def passed(self, unit: str, file: str, line: int) -> None:
        """Note the place where this came out of a method, trigger or anonymous block."""
        self.places.append((unit, file, line))

    def __str__(self) -> str:
        message = str(self.args[0])
        return message + "".join(
            f"\n  at {unit} ({file}:{line})" for unit, file, line in self.places
        )


class ApexThrown(Located):
    """An exception of Apex on its way to a `catch`: `value` is the exception object."""

    def __init__(self, value: ApexObject) -> None:
        super().__init__(f"{value.cls.name}: {value.fields.get('message')!s}")
        self.value = value

    def passed(self, unit: str, file: str, line: int) -> None:
        """Note the place, in the exception object too: `getStackTraceString` tells it."""
        super().passed(unit, file, line)
        self.value.fields["trace"] = "\n".join(
            f"{unit}: line {line}, column 1" for unit, _, line in self.places
        )
        self.value.fields["line"] = self.places[0][2]

    @property
    def type_name(self) -> str:
        """The name of the exception's class, without `System.`."""
        return self.value.cls.name.removeprefix("System.")

    @property
    def message(self) -> str | None:
        """What `getMessage()` returns."""
        message = self.value.fields.get("message")
        return None if message is None else str(message)


class LimitReached(Located):
    """A `System.LimitException`: ends the transaction, no Apex catches it (`finally` neither)."""


class NotModelled(Located):
    """Something that this executor does not know: never guessed at, never seen by Apex."""


class CompileError(NotModelled):
    """What Salesforce refuses to deploy, or this executor does not know, found while loading."""


def new_exception(type_name: str, message: str | None, **fields: Value) -> ApexObject:
    """Return an exception object of the platform; `fields` are what its methods tell further."""
    cls = EXCEPTIONS.get(type_name.casefold().removeprefix("system."))
    if cls is None:
        raise NotModelled(f"exception class {type_name}")
    return ApexObject(cls, {"message": message, "cause": None, **fields})


def throw(type_name: str, message: str | None, **fields: Value) -> NoReturn:
    """Throw an exception of the platform, which Apex may catch.

    A `DmlException` takes `rows`, an `ApexList` of `DmlRow` (see `library.exceptions`).
    """
    raise ApexThrown(new_exception(type_name, message, **fields))


def null_pointer() -> NoReturn:
    """Throw what Apex throws for a member of null."""
    throw("NullPointerException", "Attempt to de-reference a null object")
