"""`switch on`. [langCon_apex_switch_statement]"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.language.comparison import equal
from tests.apex_runtime.language.conversion import conforms
from tests.apex_runtime.language.expressions import compile_as, compile_value
from tests.apex_runtime.language.statements import Step, compile_body, statement
from tests.apex_runtime.parse import kind, line_of, text

if TYPE_CHECKING:
    from tests.apex_runtime.language.code import Code, Frame, Run
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node
    from tests.apex_runtime.types import ApexType


@statement("SwitchStmnt")
def switch(node: Node, scope: Scope) -> Step:
    """Compile `switch on`: the first `when` that fits, none falls through."""
    subject = compile_value(node["expr"], scope)
    cases: list[tuple[Any, Run]] = []
    otherwise: Run = _nothing
    falls, has_else = False, False
    for each in node["whenBlocks"]:
        scope.open()
        match kind(each):
            case "WhenBlock$ValueWhen":
                tests = [_value_test(case, scope, subject) for case in each["whenCases"]]
                step = compile_body(each["stmnt"], scope)
                cases.append((_any_of(tests), step.run))
            case "WhenBlock$TypeWhen":
                type_ = scope.type(each["typeRef"])
                slot = scope.declare(each, text(each["name"]), type_).slot
                step = compile_body(each["stmnt"], scope)
                cases.append((_type_test(scope, type_, slot), step.run))
            case "WhenBlock$ElseWhen":
                step = compile_body(each["stmnt"], scope)
                otherwise, has_else = step.run, True
            case other:
                raise scope.refused(each, f"switch {other}", modelled=False)
        falls = falls or step.falls_through
        scope.close()
    run = subject.run

    def execute(f: Frame) -> Any:  # noqa: ANN401 (a signal, or None)
        value = run(f)
        for test, body in cases:
            if test(f, value):
                return body(f)
        return otherwise(f)

    return Step(execute, line_of(node), falls_through=falls or not has_else)


def _value_test(case: Node, scope: Scope, subject: Code) -> Any:  # noqa: ANN401 (a test of a frame and a value)
    if kind(case) == "WhenCase$EnumCase":
        (name,) = case["identifiers"]
        wanted = scope.world.enum_constant(subject.type, text(name))
        if wanted is None:
            raise scope.refused(case, f"{text(name)} is no constant of {subject.type}")
        return lambda _, value: value == wanted
    if kind(case) != "WhenCase$LiteralCase":
        raise scope.refused(case, f"switch {kind(case)}", modelled=False)
    literal = compile_as(case["expr"], scope, subject.type).run
    if subject.type.name in {"String", "Id"}:
        return lambda f, value: value == literal(f)
    return lambda f, value: equal(value, literal(f))


def _any_of(tests: list[Any]) -> Any:  # noqa: ANN401 (a test, as above)
    return lambda f, value: any(test(f, value) for test in tests)


def _type_test(scope: Scope, type_: ApexType, slot: int) -> Any:  # noqa: ANN401 (a test, as above)
    world = scope.world

    def test(f: Frame, value: Any) -> bool:  # noqa: ANN401 (a Value)
        fits = value is not None and conforms(world, value, type_)
        if fits:
            f[slot] = value
        return fits

    return test


def _nothing(_: Frame) -> None:
    return None
