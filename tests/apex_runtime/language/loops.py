"""Loops and `switch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.containers import ApexList
from tests.apex_runtime.errors import null_pointer, throw
from tests.apex_runtime.language.code import BREAK, CONTINUE, SESSION, Frame, Run
from tests.apex_runtime.language.expressions import (
    compile_as,
    compile_condition,
    compile_expression,
    compile_value,
)
from tests.apex_runtime.language.statements import Step, compile_body, statement
from tests.apex_runtime.parse import kind, line_of, optional, text
from tests.apex_runtime.types import ApexType, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apex_runtime.language.code import Code
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node

_QUERY_CHUNK = 200


def _always(_: Frame) -> bool:
    return True


def _nothing(_: Frame) -> None:
    return None


def _looped(condition: Run, body: Run, after: Run) -> Run:
    def loop(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        session = f[SESSION]
        while condition(f):
            session.tick()
            signal = body(f)
            if signal == BREAK:
                return None
            if signal and signal != CONTINUE:
                return signal
            after(f)
        return None

    return loop


def _body(node: Node, scope: Scope) -> Step:
    scope.loops += 1
    step = compile_body(node, scope)
    scope.loops -= 1
    return step


@statement("WhileLoop")
def while_loop(node: Node, scope: Scope) -> Step:
    """Compile `while`."""
    condition = compile_condition(node["condition"], scope).run
    body = _body(optional(node["stmnt"]), scope)
    return Step(_looped(condition, body.run, _nothing), line_of(node))


@statement("DoLoop")
def do_loop(node: Node, scope: Scope) -> Step:
    """Compile `do … while`."""
    body = _body(node["stmnt"], scope).run
    condition = compile_condition(node["condition"], scope).run
    rest = _looped(condition, body, _nothing)

    def loop(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        f[SESSION].tick()
        signal = body(f)
        if signal == BREAK:
            return None
        return signal if signal and signal != CONTINUE else rest(f)

    return Step(loop, line_of(node))


@statement("BreakStmnt")
def break_statement(node: Node, scope: Scope) -> Step:
    """Compile `break`."""
    if not scope.loops:
        raise scope.refused(node, "Break statement must be in loop")
    return Step(lambda _: BREAK, line_of(node), falls_through=False)


@statement("ContinueStmnt")
def continue_statement(node: Node, scope: Scope) -> Step:
    """Compile `continue`."""
    if not scope.loops:
        raise scope.refused(node, "Continue statement must be in loop")
    return Step(lambda _: CONTINUE, line_of(node), falls_through=False)


@statement("ForLoop")
def for_loop(node: Node, scope: Scope) -> Step:
    """Compile `for`, over a condition or over elements."""
    control = node["forControl"]
    body = optional(node["stmnt"])
    if body is None:
        raise scope.refused(node, "for without a body", modelled=False)
    scope.open()
    match kind(control):
        case "ForControl$CStyleForControl":
            run = _counted(control, body, scope)
        case "ForControl$EnhancedForControl":
            run = _over_elements(control, body, scope)
        case other:
            raise scope.refused(node, f"loop {other}", modelled=False)
    scope.close()
    return Step(run, line_of(node))


def _counted(control: Node, body: Node, scope: Scope) -> Run:
    """Compile `for (init; condition; step)`."""
    starts: list[tuple[int, Run]] = []
    inits = optional(control["inits"])
    if inits is not None:
        declared = optional(inits["type"])
        if declared is None:
            raise scope.refused(control, "for without a declaration", modelled=False)
        type_ = scope.type(declared)
        for each in inits["inits"]:
            value = optional(each["expr"])
            run = compile_as(value, scope, type_).run if value else _nothing
            (name,) = each["name"]
            starts.append((scope.declare(name, text(name), type_).slot, run))
    condition, step = optional(control["condition"]), optional(control["control"])
    test = compile_condition(condition, scope).run if condition else _always
    after = compile_expression(step, scope).run if step else _nothing
    loop = _looped(test, _body(body, scope).run, after)

    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        for slot, run in starts:
            f[slot] = run(f)
        return loop(f)

    return execute


def _over_elements(control: Node, body: Node, scope: Scope) -> Run:
    """Compile `for (Type name : elements)`."""
    type_ = scope.type(control["type"])
    (name,) = control["init"]["name"]
    elements = compile_value(optional(control["init"]["expr"]), scope)
    slot = scope.declare(name, text(name), type_).slot
    in_chunks = elements.is_query and type_.name == "List"
    _check_element(control, scope, elements, type_, in_chunks=in_chunks)
    run, each_run = elements.run, _body(body, scope).run

    def loop(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        session = f[SESSION]
        items = run(f)
        if items is None:
            null_pointer()
        for item in _chunks(items) if in_chunks else _unchanged(items):
            session.tick()
            f[slot] = item
            signal = each_run(f)
            if signal == BREAK:
                return None
            if signal and signal != CONTINUE:
                return signal
        return None

    return loop


def _check_element(
    control: Node, scope: Scope, elements: Code, type_: ApexType, *, in_chunks: bool
) -> None:
    if elements.type.name not in {"List", "Set"} or elements.type.kind is not Kind.COLLECTION:
        raise scope.refused(control, f"Loop must iterate over a collection type: {elements.type}")
    element = elements.type if in_chunks else elements.type.args[0]
    both_records = element.kind is Kind.SOBJECT and type_.kind is Kind.SOBJECT
    if element != type_ and not both_records:
        # Only the loop variable's exact type is taken; records may be narrower or wider.
        raise scope.refused(control, f"Loop variable must be of type {element}")


def _unchanged(items: Any) -> Iterator[Any]:  # noqa: ANN401 (a list or set)
    """Yield the elements; FinalException when a turn of the loop has changed the collection."""
    size = len(items)
    for item in tuple(items):
        if len(items) != size:
            throw("FinalException", "Cannot modify a collection while it is being iterated.")
        yield item


def _chunks(rows: ApexList) -> Iterator[ApexList]:
    for start in range(0, len(rows), _QUERY_CHUNK):
        yield ApexList(rows.element, rows[start : start + _QUERY_CHUNK])
