"""Statements to closures: blocks, conditions, exceptions, DML. Loops and switch have own modules.

A compiled statement returns None, or the signal that ends the blocks around it early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import CompileError, Located
from tests.apex_runtime.language.code import RETURN, RETURNED, SESSION, Frame, Run
from tests.apex_runtime.language.expressions import (
    compile_as,
    compile_condition,
    compile_expression,
)
from tests.apex_runtime.parse import kind, line_of, optional, text
from tests.apex_runtime.types import VOID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node


@dataclass(frozen=True, slots=True)
class Step:
    """A compiled statement; `falls_through` when what follows it can be reached."""

    run: Run
    line: int
    falls_through: bool = True


STATEMENTS: dict[str, Callable[[Node, Scope], Step]] = {}
"""The compiler of each statement class of the tree."""


def statement(
    name: str,
) -> Callable[[Callable[[Node, Scope], Step]], Callable[[Node, Scope], Step]]:
    """Register the compiler of a statement class."""

    def register(function: Callable[[Node, Scope], Step]) -> Callable[[Node, Scope], Step]:
        STATEMENTS[f"Stmnt${name}"] = function
        return function

    return register


def compile_statement(node: Node, scope: Scope) -> Step:
    """Compile one statement."""
    found = STATEMENTS.get(kind(node))
    if found is None:
        raise scope.refused(node, f"statement {kind(node)}", modelled=False)
    return found(node, scope)


def compile_block(nodes: Sequence[Node], scope: Scope, line: int = 0) -> Step:
    """Compile statements that share a block of names; what can't be reached is refused."""
    scope.open()
    steps: list[Step] = []
    for node in nodes:
        if steps and not steps[-1].falls_through:
            raise scope.refused(node, "Unreachable statement")
        try:
            steps.append(compile_statement(node, scope))
        except CompileError as problem:
            scope.world.problems.append(problem)
    scope.close()
    return Step(sequence(steps, scope), line, falls_through=not steps or steps[-1].falls_through)


def sequence(steps: Sequence[Step], scope: Scope) -> Run:
    """Return a closure that executes steps in order, and counts each under its line."""
    world, file, unit = scope.world, scope.file, scope.unit
    numbered = [(world.line_id(file, each.line), each.run) for each in steps]
    if not numbered:
        return lambda _: None

    def run(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        counts = f[SESSION].counts
        line_id = 0
        try:
            for line_id, step in numbered:
                counts[line_id] += 1
                signal = step(f)
                if signal:
                    return signal
        except Located as stop:
            if stop.frame is not f:
                stop.frame = f
                stop.passed(unit, *world.lines[line_id])
            raise
        return None

    return run


@statement("BlockStmnt")
def block(node: Node, scope: Scope) -> Step:
    """Compile `{ … }`."""
    return compile_block(node["stmnts"], scope, line_of(node))


def compile_body(node: Node, scope: Scope) -> Step:
    """Compile a statement that a condition or loop governs, as a block of its own."""
    if kind(node) == "Stmnt$BlockStmnt":
        return compile_block(node["stmnts"], scope, line_of(node))
    return compile_block([node], scope, line_of(node))


@statement("ExpressionStmnt")
def expression_statement(node: Node, scope: Scope) -> Step:
    """Compile an expression for its effect: a call, assignment or step."""
    allowed = ("MethodCallExpr", "AssignmentExpr", "PostfixExpr", "PrefixExpr", "NewExpr")
    if not kind(node["expr"]).endswith(allowed):
        raise scope.refused(node, "Expression cannot be a statement.")
    run = compile_expression(node["expr"], scope).run

    def execute(f: Frame) -> None:
        run(f)

    return Step(execute, line_of(node))


@statement("VariableDeclStmnt")
def variable_declaration(node: Node, scope: Scope) -> Step:
    """Compile the declaration of local variables."""
    return declare_variables(node["variableDecls"], scope, line_of(node))


def declare_variables(node: Node, scope: Scope, line: int) -> Step:
    """Compile `Type a = …, b`: a variable without a value is null each time."""
    type_ = scope.type(node["type"])
    runs = []
    for declared in node["decls"]:
        value = optional(declared["assignment"])
        try:
            run = (lambda _: None) if value is None else compile_as(value, scope, type_).run
        except CompileError as problem:
            scope.world.problems.append(problem)
            run = lambda _: None  # noqa: E731 (the program is refused, its other lines are looked at)
        slot = scope.declare(declared["name"], text(declared["name"]), type_).slot
        runs.append((slot, run))
    if len(runs) == 1:
        ((only_slot, only),) = runs

        def assign(f: Frame) -> None:
            f[only_slot] = only(f)

        return Step(assign, line)

    def assign_all(f: Frame) -> None:
        for slot, run in runs:
            f[slot] = run(f)

    return Step(assign_all, line)


@statement("IfElseBlock")
def if_else(node: Node, scope: Scope) -> Step:
    """Compile `if … else if … else …`."""
    branches = [
        (compile_condition(each["expr"], scope).run, compile_body(each["stmnt"], scope))
        for each in node["ifBlocks"]
    ]
    otherwise = optional(node["elseBlock"])
    last = compile_body(otherwise["stmnt"], scope) if otherwise else None
    falls = last is None or last.falls_through or any(each.falls_through for _, each in branches)
    last_run = last.run if last else (lambda _: None)
    if len(branches) == 1:
        ((condition, then),) = branches
        run = then.run
        return Step(
            lambda f: run(f) if condition(f) else last_run(f), line_of(node), falls_through=falls
        )

    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        for test, body in branches:
            if test(f):
                return body.run(f)
        return last_run(f)

    return Step(execute, line_of(node), falls_through=falls)


@statement("ReturnStmnt")
def return_statement(node: Node, scope: Scope) -> Step:
    """Compile `return`, whose value has the method's type."""
    value = optional(node["expr"])
    if value is None:
        if scope.returns != VOID:
            raise scope.refused(
                node, f"Missing return statement required return type: {scope.returns}"
            )
        return Step(lambda _: RETURN, line_of(node), falls_through=False)
    if scope.returns == VOID:
        raise scope.refused(node, "Void method must not return a value")
    run = compile_as(value, scope, scope.returns, "return").run

    def give(f: Frame) -> int:
        f[RETURNED] = run(f)
        return RETURN

    return Step(give, line_of(node), falls_through=False)
