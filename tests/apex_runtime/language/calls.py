"""Method calls: which method, on what, and how it is dispatched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer, throw
from tests.apex_runtime.language.code import SESSION, Code, Frame, Run, TypeName
from tests.apex_runtime.language.declarations import ClassInfo, MethodInfo
from tests.apex_runtime.language.dynamic_queries import dynamic_query
from tests.apex_runtime.language.expressions import compile_chain, compile_value, expression
from tests.apex_runtime.language.names import follow, member, resolve_path
from tests.apex_runtime.language.overloads import Candidate, candidates, choose
from tests.apex_runtime.language.scope import this_run
from tests.apex_runtime.library import registry
from tests.apex_runtime.parse import kind, optional, text
from tests.apex_runtime.types import STRING, VOID, Kind, list_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.library.registry import Function, LibraryMethod
    from tests.apex_runtime.parse import Node


@expression("MethodCallExpr")
def method_call(node: Node, scope: Scope) -> Code:
    """Compile a call."""
    receiver = optional(node["dottedExpr"])
    path, name = node["names"][:-1], text(node["names"][-1])
    args = [compile_value(each, scope) for each in node["inputParameters"]]
    if receiver is None:
        if not path:
            return _own_call(scope, node, name, args)
        found = resolve_path(scope, path)
        if isinstance(found, Code):
            return instance_call(scope, node, found, name, args)
        return _static_call(scope, node, found, name, args)
    if kind(receiver) == "Expr$SuperVariableExpr":
        return _super_call(scope, node, name, args)

    def call(code: Code) -> Code:
        for each in path:
            code = member(scope, each, code)
        return instance_call(scope, node, code, name, args)

    return follow(scope, node, compile_chain(receiver, scope), call, safely=node["isSafeNav"])


def _own_call(scope: Scope, node: Node, name: str, args: list[Code]) -> Code:
    """Compile a call without a receiver: of this class, one that it extends, or one around it."""
    at = scope.cls
    while at is not None:
        methods = [m for each in at.lineage() for m in each.methods.get(name.casefold(), ())]
        inherited = scope.world.methods_of(at.type, name) if at is scope.cls else []
        among = candidates([*methods, *(m for m in inherited if m not in methods)], {})
        if among:
            chosen = choose(scope, node, name, among, args)
            if _is_static(chosen):
                return user_call(scope, node, chosen, None, args)
            this = scope.this()
            if this is None or at is not scope.cls:
                raise scope.refused(node, f"instance method {name} in a static context")
            return _dispatch(scope, node, chosen, this.run, args)
        at = at.outer
    raise scope.refused(node, f"Method does not exist: {name}")


def _is_static(chosen: Candidate) -> bool:
    return isinstance(chosen.method, MethodInfo) and chosen.method.is_static


def _super_call(scope: Scope, node: Node, name: str, args: list[Code]) -> Code:
    above = scope.cls.superclass if scope.cls and not scope.is_static else None
    if above is None:
        raise scope.refused(node, "super without a class that is extended")
    among = candidates(scope.world.methods_of(above.type, name), {})
    chosen = choose(scope, node, name, among, args)
    if not isinstance(chosen.method, MethodInfo) or "abstract" in chosen.method.modifiers.flags:
        raise scope.refused(node, f"super.{name}", modelled=False)
    return user_call(scope, node, chosen, this_run, args)


def _static_call(scope: Scope, node: Node, of: TypeName, name: str, args: list[Code]) -> Code:
    cls = scope.world.class_of(of.type) if of.type else None
    if cls is not None:
        if cls.form == "enum":
            return _enum_call(scope, node, cls, name, args)
        methods = [
            method
            for each in cls.lineage()
            for method in each.methods.get(name.casefold(), ())
            if method.is_static
        ]
        chosen = choose(scope, node, f"{of.name}.{name}", candidates(methods, {}), args)
        return user_call(scope, node, chosen, None, args)
    if of.type is not None and of.type.kind is Kind.SOBJECT:
        known, variables = registry.find_type("CustomSetting"), {"S": of.type}
        if known is None or not of.type.name.endswith("__c"):
            raise scope.refused(node, f"Method does not exist: {of.name}.{name}")
        type_name = Code(STRING, lambda _: of.type.name if of.type else "")
        args = [type_name, *args]
    else:
        known, variables = registry.find_type(of.name), {}
    methods_of_type = known.statics.get(name.casefold(), []) if known else []
    chosen = choose(scope, node, f"{of.name}.{name}", candidates(methods_of_type, variables), args)
    if (
        known is not None
        and known.name == "Database"
        and name.casefold() in {"query", "countquery"}
    ):
        return dynamic_query(scope, chosen, args)
    return library_call(scope, node, chosen, None, args)


def _enum_call(scope: Scope, node: Node, cls: ClassInfo, name: str, args: list[Code]) -> Code:
    """Compile `values()` and `valueOf(text)` of an enumeration of the program."""
    constants = {each.casefold(): scope.world.constant(cls, each) for each in cls.constants}
    if name.casefold() == "values" and not args:
        type_ = list_of(cls.type)
        return Code(type_, lambda f: f[SESSION].new_list(cls.type, constants.values()))
    if name.casefold() == "valueof" and len(args) == 1:
        run = scope.coerce(node, args[0], STRING).run

        def value_of(f: Frame) -> Any:  # noqa: ANN401 (an EnumValue)
            written = run(f)
            if written is None or written.casefold() not in constants:
                throw("NoSuchElementException", f"No enum constant {cls.name}.{written}")
            return constants[written.casefold()]

        return Code(cls.type, value_of)
    raise scope.refused(node, f"Method does not exist: {cls.name}.{name}")


def instance_call(scope: Scope, node: Node, code: Code, name: str, args: list[Code]) -> Code:
    """Compile a call of a method that a value has."""
    cls = scope.world.class_of(code.type)
    library = scope.world.library_of(code.type)
    if cls is not None and cls.form == "enum":
        methods: list[Any] = registry.LIBRARY["enum"].methods.get(name.casefold(), [])
    else:
        methods = scope.world.methods_of(code.type, name)
    variables = dict(zip(library.parameters, code.type.args, strict=False)) if library else {}
    if code.type.kind is Kind.SOBJECT:
        variables = {"T": code.type}
    chosen = choose(scope, node, f"{code.type}.{name}", candidates(methods, variables), args)
    return _dispatch(scope, node, chosen, code.run, args)


def _dispatch(scope: Scope, node: Node, chosen: Candidate, this: Run, args: list[Code]) -> Code:
    method = chosen.method
    if isinstance(method, MethodInfo):
        if (
            method.modifiers.visibility == "private"
            and method.owner is not None
            and (method.owner.form == "class")
        ):
            return user_call(scope, node, chosen, this, args)
        _check_visible(scope, node, method)
        return Code(
            chosen.returns, _virtual(method.key, this, _arguments(scope, node, chosen, args))
        )
    owner = registry.find_type(method.owner)
    if owner is not None and owner.is_interface:
        key = (method.name.casefold(), tuple(map(str, chosen.types)))
        given = _arguments(scope, node, chosen, args)
        return Code(chosen.returns, _virtual(key, this, given, method.function))
    return library_call(scope, node, chosen, this, args)


def _virtual(
    key: Any,  # noqa: ANN401 (a Key)
    this: Run,
    args: list[Run],
    platforms_own: Function | None = None,
) -> Run:
    """Call what the instance's class has; `platforms_own` for an instance of the platform's."""

    def call(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        target = this(f)
        if target is None:
            null_pointer()
        if platforms_own is not None and not isinstance(target.cls, ClassInfo):
            return platforms_own(target, *[each(f) for each in args])
        return target.cls.vtable[key].invoke(f[SESSION], target, [each(f) for each in args])

    return call


def _check_visible(scope: Scope, node: Node, method: MethodInfo) -> None:
    owner = method.owner
    if (
        owner is not None
        and owner.form == "class"
        and not scope.may_use(owner, method.modifiers, method.modifiers.visibility)
    ):
        raise scope.refused(node, f"Method is not visible: {owner.name}.{method.name}")


def _arguments(scope: Scope, node: Node, chosen: Candidate, args: Sequence[Code]) -> list[Run]:
    return [
        scope.coerce(node, code, type_, "argument").run
        for code, type_ in zip(args, chosen.types, strict=True)
    ]


def user_call(
    scope: Scope, node: Node, chosen: Candidate, this: Run | None, args: Sequence[Code]
) -> Code:
    """Compile a call of one method of the program, static when it has no receiver."""
    method = chosen.method
    if not isinstance(method, MethodInfo):
        raise scope.refused(node, f"{method.name} in a static context")
    _check_visible(scope, node, method)
    runs = _arguments(scope, node, chosen, args)
    if "future" in method.modifiers.annotations and method.owner is not None:
        return _future_call(method.owner.name, method.name, runs)
    if this is None:
        return Code(
            chosen.returns,
            lambda f: f[SESSION].call_static(method, [each(f) for each in runs]),
        )
    receiver = this

    def call(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        target = receiver(f)
        if target is None:
            null_pointer()
        return method.invoke(f[SESSION], target, [each(f) for each in runs])

    return Code(chosen.returns, call)


def _future_call(class_name: str, name: str, runs: list[Run]) -> Code:
    """Compile a call that only queues. [apex_classes_annotation_future]"""

    def queue(f: Frame) -> None:
        f[SESSION].platform.call_future(class_name, name, [each(f) for each in runs])

    return Code(VOID, queue)


def library_call(
    scope: Scope, node: Node, chosen: Candidate, this: Run | None, args: Sequence[Code]
) -> Code:
    """Compile a call of the platform's method."""
    method = chosen.method
    if isinstance(method, MethodInfo):
        return user_call(scope, node, chosen, this, args)
    runs = [
        _present(run) if refuses else run
        for run, refuses in zip(
            _arguments(scope, node, chosen, args), method.refuses_null, strict=True
        )
    ]
    if this is not None:
        runs.insert(0, _dereferenced(this))
    return Code(chosen.returns, _applied(method, runs))


def _applied(method: LibraryMethod, runs: list[Run]) -> Run:
    """Return a closure that applies a function, without a list where there are few arguments."""
    function: Callable[..., Any] = method.function
    if method.in_session:
        return lambda f: function(f[SESSION], *[each(f) for each in runs])
    match runs:
        case []:
            return lambda _: function()
        case [one]:
            return lambda f: function(one(f))
        case [one, other]:
            return lambda f: function(one(f), other(f))
        case _:
            return lambda f: function(*[each(f) for each in runs])


def _present(run: Run) -> Run:
    def present(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        value = run(f)
        if value is None:
            throw("NullPointerException", "Argument cannot be null.")
        return value

    return present


def _dereferenced(run: Run) -> Run:
    def dereferenced(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        value = run(f)
        if value is None:
            null_pointer()
        return value

    return dereferenced
