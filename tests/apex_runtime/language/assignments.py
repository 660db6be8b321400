"""Assignment, its shortcuts, `++` and `--`, and the operators before one operand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer
from tests.apex_runtime.language.code import Code, Frame, Operation, Run, Target
from tests.apex_runtime.language.conversion import cast
from tests.apex_runtime.language.expressions import compile_as, compile_value, expression
from tests.apex_runtime.language.operators import operation
from tests.apex_runtime.language.targets import target_of
from tests.apex_runtime.types import BOOLEAN, DECIMAL, DOUBLE, INTEGER, LONG, ApexType

if TYPE_CHECKING:
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node

_OPERATIONS = {
    "ADDITION_EQUALS": "ADDITION",
    "SUBTRACTION_EQUALS": "SUBTRACTION",
    "MULTIPLICATION_EQUALS": "MULTIPLICATION",
    "DIVISION_EQUALS": "DIVISION",
    "AND_EQUALS": "AND",
    "OR_EQUALS": "OR",
    "XOR_EQUALS": "XOR",
    "LEFT_SHIFT_EQUALS": "LEFT_SHIFT",
    "RIGHT_SHIFT_EQUALS": "RIGHT_SHIFT",
    "UNSIGNED_RIGHT_SHIFT_EQUALS": "UNSIGNED_RIGHT_SHIFT",
}


@expression("AssignmentExpr")
def assignment(node: Node, scope: Scope) -> Code:
    """Compile `=` and its shortcuts; the value is what was assigned."""
    target = target_of(node["left"], scope)
    op = node["op"]["$"]
    if op == "EQUALS":
        return _store(target, compile_as(node["right"], scope, target.type).run)
    if op not in _OPERATIONS:
        raise scope.refused(node, f"assignment {op}", modelled=False)
    right = compile_value(node["right"], scope)
    type_, compute = operation(scope, node, _OPERATIONS[op], target.type, right.type)
    return _update(node, scope, target, right.run, (type_, compute), gives_old=False)


def _store(target: Target, value_of: Run) -> Code:
    receivers, store = target.receivers, target.store

    def assign(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        at = [receiver(f) for receiver in receivers]
        value = value_of(f)
        store(f, value, *at)
        return value

    if receivers:
        return Code(target.type, assign)

    def assign_plainly(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        value = value_of(f)
        store(f, value)
        return value

    return Code(target.type, assign_plainly)


def _update(  # noqa: PLR0913 (the parts of one operation)
    node: Node,
    scope: Scope,
    target: Target,
    value_of: Run,
    computed: tuple[ApexType, Operation],
    *,
    gives_old: bool,
) -> Code:
    """Compile a target's new value from its old one, with its receivers evaluated once."""
    type_, compute = computed
    convert = cast(scope.world, type_, target.type)
    narrows = target.type in {INTEGER, LONG} and type_ in {DOUBLE, DECIMAL}
    if convert is None or narrows:
        raise scope.refused(node, f"Illegal assignment from {type_} to {target.type}")
    receivers, load, store = target.receivers, target.load, target.store

    def update(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        at = [receiver(f) for receiver in receivers]
        before = load(f, *at)
        after = convert(compute(f, before, value_of(f)))
        store(f, after, *at)
        return before if gives_old else after

    return Code(target.type, update)


def _step(node: Node, scope: Scope, op: str, *, gives_old: bool) -> Code:
    target = target_of(node["expr"], scope)
    name = "ADDITION" if op == "INC" else "SUBTRACTION"
    type_, compute = operation(scope, node, name, target.type, INTEGER)
    return _update(node, scope, target, lambda _: 1, (type_, compute), gives_old=gives_old)


@expression("PostfixExpr")
def postfix(node: Node, scope: Scope) -> Code:
    """Compile `x++` and `x--`."""
    return _step(node, scope, node["op"]["$"], gives_old=True)


@expression("PrefixExpr")
def prefix(node: Node, scope: Scope) -> Code:
    """Compile `++x`, `--x`, `-x`, `+x`, `!x` and `~x`."""
    op = node["op"]["$"]
    if op in {"INC", "DEC"}:
        return _step(node, scope, op, gives_old=False)
    code = compile_value(node["expr"], scope)
    run = code.run
    if op == "NOT":
        run = scope.coerce(node, code, BOOLEAN).run
        return Code(BOOLEAN, lambda f: not _present(run(f)))
    if code.type not in {INTEGER, LONG, DOUBLE, DECIMAL}:
        raise scope.refused(node, f"{op} of {code.type}")
    match op:
        case "POSITIVE":
            return Code(code.type, lambda f: _present(run(f)))
        case "NEGATIVE":
            _, subtract = operation(scope, node, "SUBTRACTION", code.type, code.type)
            zero: Any = scope.coerce(node, Code(INTEGER, lambda _: 0), code.type).run
            return Code(code.type, lambda f: subtract(f, zero(f), run(f)))
        case "BITWISE_COMPLEMENT" if code.type in {INTEGER, LONG}:
            _, xor = operation(scope, node, "XOR", code.type, INTEGER)
            return Code(code.type, lambda f: xor(f, run(f), -1))
        case _:
            raise scope.refused(node, f"{op} of {code.type}")


def _present(value: Any) -> Any:  # noqa: ANN401 (a Value that must not be null)
    return null_pointer() if value is None else value
