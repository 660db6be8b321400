"""`throw`, and `try` with `catch` and `finally`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import ApexThrown, null_pointer
from tests.apex_runtime.language.code import RETURNED, Code, Frame, Run
from tests.apex_runtime.language.expressions import compile_as
from tests.apex_runtime.language.statements import Step, compile_body, statement
from tests.apex_runtime.parse import line_of, optional, text
from tests.apex_runtime.types import LIBRARY_EXCEPTION

if TYPE_CHECKING:
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node


@statement("ThrowStmnt")
def throw_statement(node: Node, scope: Scope) -> Step:
    """Compile `throw`."""
    run = compile_as(node["expr"], scope, LIBRARY_EXCEPTION, "throw").run

    def execute(f: Frame) -> None:
        value = run(f)
        if value is None:
            null_pointer()
        raise ApexThrown(value)

    return Step(execute, line_of(node), falls_through=False)


@statement("TryCatchFinallyBlock")
def try_statement(node: Node, scope: Scope) -> Step:
    """Compile `try`: a LimitException passes `catch` and `finally` by.

    [apex_exception_statements]
    """
    body = compile_body(node["tryBlock"], scope)
    handlers = []
    falls = body.falls_through
    for each in node["catchBlocks"]:
        parameter = each["parameter"]
        type_ = scope.type(parameter["typeRef"])
        scope.coerce(parameter, Code(type_, lambda _: None), LIBRARY_EXCEPTION, "catch")
        scope.open()
        slot = scope.declare(parameter, text(parameter["name"]), type_).slot
        handler = compile_body(each["stmnt"], scope)
        scope.close()
        handlers.append((type_.name, slot, handler.run))
        falls = falls or handler.falls_through
    attempt = _caught(body.run, handlers) if handlers else body.run
    final = optional(node["finallyBlock"])
    if final is None:
        return Step(attempt, line_of(node), falls_through=falls)
    last = compile_body(final["stmnt"], scope)
    falls = falls and last.falls_through
    return Step(_finally(attempt, last.run), line_of(node), falls_through=falls)


def _caught(body: Run, handlers: list[tuple[str, int, Run]]) -> Run:
    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        try:
            return body(f)
        except ApexThrown as thrown:
            fitting = next((each for each in handlers if thrown.value.cls.is_a(each[0])), None)
            if fitting is None:
                raise
            _, slot, handler = fitting
            f[slot] = thrown.value
        return handler(f)

    return execute


def _finally(attempt: Run, last: Run) -> Run:
    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        try:
            signal = attempt(f)
        except ApexThrown:
            instead = last(f)
            if instead:
                return instead
            raise
        returned = f[RETURNED]
        instead = last(f)
        if instead:
            return instead
        f[RETURNED] = returned
        return signal

    return execute
