"""DML statements, and `System.runAs` around statements of a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer
from tests.apex_runtime.language.code import SESSION, Frame
from tests.apex_runtime.language.expressions import compile_value
from tests.apex_runtime.language.statements import STATEMENTS, Step, compile_body, statement
from tests.apex_runtime.parse import line_of, optional, text
from tests.apex_runtime.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node


def _dml(operation: str) -> Callable[[Node, Scope], Step]:
    """Return the compiler of a DML statement: of a record or a list of them, all or none."""

    def compile_dml(node: Node, scope: Scope) -> Step:
        mode = optional(node["runAsMode"])
        if mode is not None and text(mode).casefold() != "system":
            raise scope.refused(node, f"{operation} as {text(mode)}", modelled=False)
        code = compile_value(node["expr"], scope)
        element = code.type.args[0] if code.type.name == "List" else code.type
        if element.kind is not Kind.SOBJECT:
            raise scope.refused(node, f"DML requires SObject or SObject list type: {code.type}")
        key = optional(node["id"]) if "id" in node else None
        external_id = key["field"]["value"] if key else None
        run, is_list = code.run, code.type.name == "List"

        def execute(f: Frame) -> None:
            records = run(f)
            if records is None:
                null_pointer()
            f[SESSION].platform.dml(
                operation,
                records if is_list else [records],
                all_or_none=True,
                external_id=external_id,
            )

        return Step(execute, line_of(node))

    return compile_dml


for _operation in ("insert", "update", "upsert", "delete", "undelete"):
    STATEMENTS[f"Stmnt$Dml{_operation.capitalize()}Stmnt"] = _dml(_operation)


@statement("DmlMergeStmnt")
def merge(node: Node, scope: Scope) -> Step:
    """Compile `merge winner losers`."""
    winner = compile_value(node["expr1"], scope)
    losers = compile_value(node["expr2"], scope)
    is_list = losers.type.name == "List"

    def execute(f: Frame) -> None:
        first, rest = winner.run(f), losers.run(f)
        if first is None or rest is None:
            null_pointer()
        f[SESSION].platform.dml("merge", [first, *(rest if is_list else [rest])], all_or_none=True)

    return Step(execute, line_of(node))


@statement("RunAsBlock")
def run_as(node: Node, scope: Scope) -> Step:
    """Compile `System.runAs(user) { … }`. [apex_testing_tools_runas]"""
    (argument,) = node["inputParameters"]
    user = compile_value(argument, scope)
    if user.type.name != "User":
        raise scope.refused(node, f"System.runAs({user.type})", modelled=False)
    body = compile_body(node["stmnt"], scope)
    run = body.run

    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        signals: list[Any] = []
        record = user.run(f)
        if record is None:
            null_pointer()
        user_id = record.fields.get("Id")
        f[SESSION].platform.run_as(user_id, lambda: signals.append(run(f)))
        return signals[0]

    return Step(execute, line_of(node), falls_through=body.falls_through)
