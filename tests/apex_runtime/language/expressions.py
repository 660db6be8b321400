"""Expressions to closures: literals, casts, conditions, and the table of the compilers."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import NotModelled, null_pointer
from tests.apex_runtime.language.code import SKIPPED, Code, Frame
from tests.apex_runtime.language.conversion import cast, conforms, converter, same
from tests.apex_runtime.parse import Node, kind, line_of
from tests.apex_runtime.scalars import Long, TypeValue
from tests.apex_runtime.types import (
    BOOLEAN,
    DECIMAL,
    DOUBLE,
    INTEGER,
    LONG,
    NULL,
    OBJECT,
    STRING,
    VOID,
    ApexType,
    Kind,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.values import Value

EXPRESSIONS: dict[str, Callable[[Node, Scope], Code]] = {}
"""The compiler of each expression class of the tree; the modules beside this one fill it."""


def expression(
    name: str,
) -> Callable[[Callable[[Node, Scope], Code]], Callable[[Node, Scope], Code]]:
    """Register the compiler of an expression class."""

    def register(function: Callable[[Node, Scope], Code]) -> Callable[[Node, Scope], Code]:
        EXPRESSIONS[f"Expr${name}"] = function
        return function

    return register


def compile_chain(node: Node, scope: Scope) -> Code:
    """Compile an expression that something follows: it may give SKIPPED behind a `?.`."""
    found = EXPRESSIONS.get(kind(node))
    if found is None:
        raise scope.refused(node, f"expression {kind(node)}", modelled=False)
    try:
        return found(node, scope)
    except NotModelled as problem:
        if not problem.places:
            problem.passed(scope.unit, scope.file, line_of(node))
        raise


def compile_expression(node: Node, scope: Scope) -> Code:
    """Compile a whole expression."""
    code = compile_chain(node, scope)
    if not code.may_skip:
        return code
    run = code.run

    def unskipped(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        value = run(f)
        return None if value is SKIPPED else value

    return Code(code.type, unskipped)


def compile_value(node: Node, scope: Scope) -> Code:
    """Compile an expression that must have a value."""
    code = compile_expression(node, scope)
    if code.type == VOID:
        raise scope.refused(node, "an expression of type void has no value")
    return code


def compile_as(node: Node, scope: Scope, target: ApexType, what: str = "assignment") -> Code:
    """Compile an expression whose value is assigned to a type."""
    return scope.coerce(node, compile_value(node, scope), target, what)


def compile_condition(node: Node, scope: Scope) -> Code:
    """Compile a condition, which is a Boolean and not null."""
    code = compile_value(node, scope)
    if code.type != BOOLEAN:
        raise scope.refused(node, f"Condition expression must be of type Boolean: {code.type}")
    run = code.run

    def condition(f: Frame) -> bool:
        value: bool | None = run(f)
        return null_pointer() if value is None else value

    return Code(BOOLEAN, condition)


@expression("LiteralExpr")
def literal(node: Node, scope: Scope) -> Code:
    """Compile a literal; a number with a point is a Decimal."""
    written = node.get("literal", {}).get("$")
    name = node["type"]["$"]
    if name not in _LITERALS:
        raise scope.refused(node, f"literal {name}", modelled=False)
    type_, make = _LITERALS[name]
    value = make(written)
    return Code(type_, lambda _: value)


_LITERALS: dict[str, tuple[ApexType, Callable[[Any], Value]]] = {
    "NULL": (NULL, lambda _: None),
    "TRUE": (BOOLEAN, bool),
    "FALSE": (BOOLEAN, bool),
    "INTEGER": (INTEGER, int),
    "LONG": (LONG, Long),
    "DOUBLE": (DOUBLE, float),
    "DECIMAL": (DECIMAL, Decimal),
    "STRING": (STRING, str),
}


@expression("NestedExpr")
def nested(node: Node, scope: Scope) -> Code:
    """Compile what stands in parentheses; a chain behind `?.` ends there."""
    return compile_expression(node["expr"], scope)


@expression("CastExpr")
def cast_expression(node: Node, scope: Scope) -> Code:
    """Compile a cast; TypeException where the value turns out otherwise."""
    target = scope.type(node["type"])
    code = compile_value(node["expr"], scope)
    if code.is_query and target.kind is Kind.SOBJECT:
        return scope.coerce(node, code, target)
    convert = cast(scope.world, code.type, target)
    if convert is None:
        raise scope.refused(
            node, f"Incompatible types since an instance of {code.type} is never {target}"
        )
    run = code.run
    return Code(target, run if convert is same else lambda f: convert(run(f)))


@expression("InstanceOf")
def instance_of(node: Node, scope: Scope) -> Code:
    """Compile `instanceof`: false for null."""
    target = scope.type(node["type"])
    run = compile_value(node["expr"], scope).run
    world = scope.world

    def test(f: Frame) -> bool:
        value = run(f)
        return value is not None and conforms(world, value, target)

    return Code(BOOLEAN, test)


@expression("ClassRefExpr")
def class_reference(node: Node, scope: Scope) -> Code:
    """Compile `Foo.class`."""
    value = TypeValue(scope.type(node["type"]))
    return Code(ApexType("Type", Kind.LIBRARY), lambda _: value)


@expression("TernaryExpr")
def ternary(node: Node, scope: Scope) -> Code:
    """Compile `a ? b : c`."""
    condition = compile_condition(node["condition"], scope).run
    type_, first, second = _either(node, "trueExpr", "falseExpr", scope)
    return Code(type_, lambda f: first(f) if condition(f) else second(f))


@expression("NullCoalescingExpr")
def null_coalescing(node: Node, scope: Scope) -> Code:
    """Compile `a ?? b`: b is evaluated where a is null. [langCon_apex_NullCoalescingOperator]"""
    type_, first, second = _either(node, "left", "right", scope)

    def coalesce(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        value = first(f)
        return second(f) if value is None else value

    return Code(type_, coalesce)


def _either(node: Node, one: str, other: str, scope: Scope) -> tuple[ApexType, Any, Any]:
    """Compile two expressions of which one counts, to the type that both convert to."""
    first, second = (compile_value(node[each], scope) for each in (one, other))
    type_ = _common(scope, first.type, second.type)
    if type_ is None:
        raise scope.refused(node, f"Incompatible types: {first.type}, {second.type}")
    return (
        type_,
        scope.coerce(node[one], first, type_).run,
        scope.coerce(node[other], second, type_).run,
    )


def _common(scope: Scope, first: ApexType, second: ApexType) -> ApexType | None:
    """Return the type that values of both types may be given."""
    for each in (OBJECT, STRING, DECIMAL):
        if each in (first, second) and NULL not in (first, second):
            other = second if first == each else first
            return each if converter(scope.world, other, each) is not None else None
    if first != NULL and converter(scope.world, second, first) is not None:
        return first
    return second if converter(scope.world, first, second) is not None else None
