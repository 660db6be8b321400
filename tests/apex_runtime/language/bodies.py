"""Compiles what declared classes, triggers and anonymous blocks execute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.language.code import FIRST_LOCAL, Frame, Run
from tests.apex_runtime.language.declarations import ClassInfo, FieldInfo, MethodInfo, Modifiers
from tests.apex_runtime.language.expressions import compile_as, compile_value
from tests.apex_runtime.language.overloads import candidates, choose
from tests.apex_runtime.language.scope import Scope
from tests.apex_runtime.language.statements import (
    Step,
    compile_block,
    compile_statement,
    declare_variables,
    sequence,
)
from tests.apex_runtime.parse import Node, kind, line_of, text
from tests.apex_runtime.types import VOID, ApexType

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.apex_runtime.language.session import Session
    from tests.apex_runtime.language.world import World

_CONSTRUCTOR_CALLS = frozenset({"Expr$ThisMethodCallExpr", "Expr$SuperMethodCallExpr"})


def _guarded(world: World, compile_it: Callable[[], None]) -> None:
    """Compile a member; what is refused is noted, and the next member is looked at."""
    try:
        compile_it()
    except CompileError as problem:
        world.problems.append(problem)


def compile_class(world: World, cls: ClassInfo) -> None:
    """Compile every body and initializer of a class."""
    if cls.form != "class":
        return
    for method in [m for overloads in cls.methods.values() for m in overloads]:
        _guarded(world, lambda method=method: _compile_method(world, cls, method))  # type: ignore[misc]  # bound in the loop
    for constructor in cls.constructors:
        _guarded(world, lambda made=constructor: _compile_constructor(world, cls, made))  # type: ignore[misc]  # as above
    for field in cls.fields.values():
        for accessor in (field.getter, field.setter):
            if accessor is not None:
                _guarded(
                    world,
                    lambda made=accessor, field=field: _compile_method(  # type: ignore[misc]  # as above
                        world, cls, made, accessor_of=field.name
                    ),
                )
    _compile_initializers(world, cls)


def _scope(world: World, cls: ClassInfo, name: str, *, is_static: bool) -> Scope:
    return Scope(world, cls, f"{cls.name}.{name}", cls.file, is_static)


def _compile_method(
    world: World, cls: ClassInfo, method: MethodInfo, *, accessor_of: str | None = None
) -> None:
    if method.node is None:
        return
    scope = _scope(world, cls, method.name, is_static=method.is_static)
    scope.returns, scope.accessor_of = method.returns, accessor_of
    for name, type_ in method.params:
        scope.declare(method.node, name, type_)
    step = compile_block(method.node["stmnts"], scope, method.line)
    if method.returns != VOID and step.falls_through:
        raise scope.refused(
            method.node, f"Missing return statement: {method.returns} {method.name}"
        )
    method.body, method.size = step.run, scope.size


def _compile_constructor(world: World, cls: ClassInfo, constructor: MethodInfo) -> None:
    """Compile a constructor: `this(…)` instead of, or `super(…)` before, the initializers."""
    scope = _scope(world, cls, "<init>", is_static=False)
    scope.initializes = True
    for name, type_ in constructor.params:
        scope.declare(constructor.node, name, type_)
    statements = constructor.node["stmnts"] if constructor.node else []
    first = statements[0]["expr"] if statements and "expr" in statements[0] else None
    explicit = first if isinstance(first, dict) and kind_of(first) in _CONSTRUCTOR_CALLS else None
    if explicit is not None:
        statements = statements[1:]
    if explicit is not None and kind(explicit) == "Expr$ThisMethodCallExpr":
        constructor.before = _constructor_call(scope, explicit, cls)
    else:
        above = _constructor_call(scope, explicit, cls.superclass) if cls.superclass else None
        if explicit is not None and above is None:
            raise scope.refused(explicit, "super(…) of a class of the platform", modelled=False)
        constructor.before = _initialized(cls, above)
    if constructor.node is not None:
        constructor.body = compile_block(statements, scope, constructor.line).run
        constructor.size = scope.size


def kind_of(node: Node) -> str:
    """Return a node's class, empty for a part that is no node."""
    return kind(node) if "@class" in node else ""


def _constructor_call(
    scope: Scope, node: Node | None, cls: ClassInfo
) -> Callable[[Session, Any, Frame], None]:
    args = [compile_value(each, scope) for each in (node["inputParameters"] if node else ())]
    where = node if node is not None else cls.node
    chosen = choose(scope, where, f"new {cls.name}", candidates(cls.constructors, {}), args)
    target: Any = chosen.method
    runs = [
        scope.coerce(where, code, type_, "argument").run
        for code, type_ in zip(args, chosen.types, strict=True)
    ]
    return lambda session, this, f: target.invoke(session, this, [each(f) for each in runs])


def _initialized(
    cls: ClassInfo, above: Callable[[Session, Any, Frame], None] | None
) -> Callable[[Session, Any, Frame], None]:
    def before(session: Session, this: Any, f: Frame) -> None:  # noqa: ANN401 (the instance)
        if above is not None:
            above(session, this, f)
        session.run_steps(cls.instance_steps, this, cls.steps_size)

    return before


def _compile_initializers(world: World, cls: ClassInfo) -> None:
    """Compile fields' values and initializer blocks, in the order of the source."""
    for member in cls.node["members"]:
        match kind(member):
            case "BlockMember$FieldMember":
                names = [text(each["name"]) for each in member["variableDecls"]["decls"]]
                for field in (cls.fields.get(name.casefold()) for name in names):
                    if field is not None and field.initial is not None:
                        _guarded(world, lambda made=field: _add_value(world, cls, made))  # type: ignore[misc]  # bound in the loop
            case "BlockMember$StaticStmntBlockMember":
                _guarded(world, lambda made=member: _add_block(world, cls, made, is_static=True))  # type: ignore[misc]  # as above
            case "BlockMember$StmntBlockMember":
                _guarded(world, lambda made=member: _add_block(world, cls, made, is_static=False))  # type: ignore[misc]  # as above
            case _:
                pass


def _add_value(world: World, cls: ClassInfo, field: FieldInfo) -> None:
    scope = _scope(
        world, cls, "<clinit>" if field.is_static else "<init>", is_static=field.is_static
    )
    assert field.initial is not None
    run = compile_as(field.initial, scope, field.type).run
    name = field.name

    def assign(f: Frame) -> None:
        if field.is_static:
            f[0].statics[field] = run(f)
        else:
            f[1].fields[name] = run(f)

    _add_step(cls, scope, Step(assign, field.line), is_static=field.is_static)


def _add_block(world: World, cls: ClassInfo, member: Node, *, is_static: bool) -> None:
    scope = _scope(world, cls, "<clinit>" if is_static else "<init>", is_static=is_static)
    scope.initializes = True
    _add_step(cls, scope, compile_statement(member["stmnt"], scope), is_static=is_static)


def _add_step(cls: ClassInfo, scope: Scope, step: Step, *, is_static: bool) -> None:
    (cls.static_steps if is_static else cls.instance_steps).append(sequence([step], scope))
    cls.steps_size = max(cls.steps_size, scope.size)


def compile_unit(
    world: World, members: list[Node], name: str, file: str, records: ApexType | None
) -> MethodInfo:
    """Compile a trigger's or an anonymous block's statements as a method without an owner."""
    scope = Scope(world, None, name, file, is_static=True, trigger_object=records)
    steps: list[Step] = []
    for member in members:
        _guarded(world, lambda member=member: steps.append(_unit_step(member, scope)))  # type: ignore[misc]  # bound in the loop
    body: Run = sequence(steps, scope)
    made = MethodInfo(name, None, Modifiers(), (), VOID, 1, body=body)
    made.size = max(scope.size, FIRST_LOCAL)
    return made


def _unit_step(member: Node, scope: Scope) -> Step:
    match kind(member):
        case "BlockMember$FieldMember":
            return declare_variables(member["variableDecls"], scope, line_of(member))
        case "BlockMember$StmntBlockMember":
            return compile_statement(member["stmnt"], scope)
        case other:
            raise scope.refused(member, f"{other} outside a class", modelled=False)
