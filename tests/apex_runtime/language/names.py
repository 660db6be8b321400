"""Dotted names: variables, fields, properties, types, and what hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer
from tests.apex_runtime.language.code import SESSION, SKIPPED, THIS, Code, Frame, Run, TypeName
from tests.apex_runtime.language.expressions import compile_chain, expression
from tests.apex_runtime.language.schema_tokens import describe_token, field_token, type_token
from tests.apex_runtime.language.scope import single, this_run
from tests.apex_runtime.library import registry
from tests.apex_runtime.parse import optional, text
from tests.apex_runtime.record_fields import field_of
from tests.apex_runtime.types import BOOLEAN, ID, INTEGER, SOBJECT, ApexType, Kind, list_of, map_of

if TYPE_CHECKING:
    from tests.apex_runtime.language.declarations import FieldInfo
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.parse import Node

_NAMESPACES = frozenset({"system", "schema", "database", "eventbus"})


@expression("ThisVariableExpr")
def this_expression(node: Node, scope: Scope) -> Code:
    """Compile `this`."""
    this = scope.this()
    if this is None:
        raise scope.refused(node, "this in a static context")
    return this


@expression("VariableExpr")
def variable(node: Node, scope: Scope) -> Code:
    """Compile a dotted name, or names that follow another expression."""
    names = node["names"]
    receiver = optional(node["dottedExpr"])
    if receiver is None:
        found = resolve_path(scope, names)
        if isinstance(found, Code):
            return found
        raise scope.refused(node, f"Variable does not exist: {found.name}")
    code = compile_chain(receiver, scope)
    return follow(
        scope, node, code, lambda start: _members(scope, names, start), safely=node["isSafeNav"]
    )


def follow(scope: Scope, node: Node, code: Code, rest: Any, *, safely: bool) -> Code:  # noqa: ANN401 (Code to Code)
    """Compile what follows a receiver; behind `?.`, null skips the rest of the chain."""
    if code.type.kind is Kind.VOID:
        raise scope.refused(node, "a member of void")
    if not safely and not code.may_skip:
        done: Code = rest(code)
        return done
    start = scope.size
    scope.size += 1
    after: Code = rest(Code(code.type, lambda f: f[start], is_query=code.is_query))
    run, then = code.run, after.run

    def chain(f: Frame) -> Any:  # noqa: ANN401 (a Value, or SKIPPED)
        value = run(f)
        if value is SKIPPED or (safely and value is None):
            return SKIPPED
        f[start] = value
        return then(f)

    return Code(after.type, chain, may_skip=True)


def _members(scope: Scope, names: list[Node], code: Code) -> Code:
    for name in names:
        code = member(scope, name, code)
    return code


def resolve_path(scope: Scope, names: list[Node]) -> Code | TypeName:
    """Return what a dotted name means: a value, else a type."""
    at = resolve_name(scope, names[0])
    for name in names[1:]:
        at = member(scope, name, at) if isinstance(at, Code) else _of_type(scope, name, at)
    return at


def resolve_name(scope: Scope, node: Node) -> Code | TypeName:
    """Return what a single name means: variable, then field of this class and around, then type."""
    name = text(node)
    local = scope.find(name)
    if local is not None:
        slot = local.slot
        return Code(local.type, lambda f: f[slot])
    at = scope.cls
    while at is not None:
        field = at.find_field(name)
        if field is not None:
            return _own_field(scope, node, field)
        at = at.outer
    type_ = scope.world.type_named(name, scope.cls)
    if type_ is None and name.casefold() not in _NAMESPACES:
        raise scope.refused(node, f"Variable does not exist: {name}")
    return TypeName(name, type_)


def _own_field(scope: Scope, node: Node, field: FieldInfo) -> Code:
    if field.is_static:
        return static_field(scope, field)
    this = scope.this()
    if this is None or scope.cls is None or not scope.cls.is_a(field.owner.name):
        raise scope.refused(node, f"instance field {field.name} in a static context")
    return instance_field(scope, field, this)


def _checked(scope: Scope, node: Node, field: FieldInfo) -> None:
    if not scope.may_use(field.owner, field.modifiers, field.modifiers.visibility):
        raise scope.refused(node, f"Variable is not visible: {field.owner.name}.{field.name}")


def _of_type(scope: Scope, node: Node, of: TypeName) -> Code | TypeName:
    """Return a member of a type: constant, static field, inner type, token."""
    name = text(node)
    if of.type is not None:
        found = _static_member(scope, node, of.type, name)
        if found is not None:
            return found
    whole = f"{of.name}.{name}"
    type_ = scope.world.type_named(whole, scope.cls)
    if type_ is None:
        raise scope.refused(node, f"Variable does not exist: {whole}")
    return TypeName(whole, type_)


def _static_member(scope: Scope, node: Node, type_: ApexType, name: str) -> Code | None:
    value = scope.world.enum_constant(type_, name)
    if value is not None:
        return Code(type_, lambda _: value)
    if type_.kind is Kind.SOBJECT:
        return _token(scope, node, type_, name)
    cls = scope.world.class_of(type_)
    field = cls.find_field(name) if cls is not None else None
    if field is not None and field.is_static:
        _checked(scope, node, field)
        return static_field(scope, field)
    if type_.kind is Kind.LIBRARY and type_.name == "SObjectType":
        return describe_token(scope, node, name)
    known = registry.find_type(type_.name) if cls is None else None
    constant = known.constants.get(name.casefold()) if known is not None else None
    if constant is None or constant.constant is None:
        return None
    give = constant.constant
    return Code(constant.type, lambda _: give())


def _token(scope: Scope, node: Node, type_: ApexType, name: str) -> Code:
    """Compile `Lead.SObjectType` and `Lead.Status`."""
    if name.casefold() == "sobjecttype":
        return type_token(type_)
    info = scope.world.sobject(type_.name)
    if info is None or name.casefold() not in info.fields:
        raise scope.refused(node, f"Invalid field {name} for SObject {type_}")
    return field_token(type_, info.fields[name.casefold()][0])


def member(scope: Scope, node: Node, code: Code) -> Code:
    """Return a field or property of a value."""
    name = text(node)
    if code.is_query:
        code = single(code)
    if code.type.kind is Kind.SOBJECT:
        return _record_field(scope, node, code, name)
    cls = scope.world.class_of(code.type)
    if cls is not None:
        field = cls.find_field(name)
        if field is None or field.is_static:
            raise scope.refused(node, f"Variable does not exist: {name} on {code.type}")
        _checked(scope, node, field)
        return instance_field(scope, field, code)
    known = scope.world.library_of(code.type)
    if known is None or name.casefold() not in known.fields:
        raise scope.refused(node, f"Variable does not exist: {name} on {code.type}")
    declared = known.fields[name.casefold()]
    return Code(declared.type, _read(code.run, declared.name))


def _read(receiver: Run, name: str) -> Run:
    def read(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        this = receiver(f)
        if this is None:
            null_pointer()
        return this.fields.get(name)

    return read


def record_member(scope: Scope, node: Node, type_: ApexType, name: str) -> tuple[str, ApexType]:
    """Return a record's field or parent in API spelling with its type; unknown ones are refused."""
    folded = name.casefold()
    if type_ == SOBJECT:
        if folded == "id":
            return "Id", ID
        raise scope.refused(node, f"Variable does not exist: {name} on SObject")
    info = scope.world.sobject(type_.name)
    if info is not None:
        for names in (info.fields, info.relationships):
            if folded in names:
                return names[folded]
    raise scope.refused(node, f"Variable does not exist: {name} on {type_}")


def check_writeable(scope: Scope, node: Node, type_: ApexType, name: str) -> None:
    """Refuse to assign a field that the platform computes."""
    info = scope.world.sobject(type_.name)
    is_parent = info is not None and name.casefold() in info.relationships
    if info is not None and not is_parent and not info.schema.writeable(name):
        raise scope.refused(node, f"Field is not writeable: {type_}.{name}")


def _record_field(scope: Scope, node: Node, code: Code, name: str) -> Code:
    spelled, type_ = record_member(scope, node, code.type, name)
    run = code.run

    def read(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        record = run(f)
        if record is None:
            null_pointer()
        return field_of(record, spelled)

    return Code(type_, read)


def static_field(scope: Scope, field: FieldInfo) -> Code:
    """Compile the value of a static field or property; its first use initializes the class."""
    if field.getter is not None and scope.accessor_of != field.name:
        getter = field.getter
        return Code(field.type, lambda f: f[SESSION].call_static(getter, ()))

    def read(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        statics = f[SESSION].statics
        if field not in statics:
            f[SESSION].initialize(field.owner)
        return statics[field]

    return Code(field.type, read)


def instance_field(scope: Scope, field: FieldInfo, code: Code) -> Code:
    """Compile the value of an instance's field or property."""
    run = code.run
    name = field.name
    if field.getter is not None and scope.accessor_of != name:
        getter = field.getter

        def get(f: Frame) -> Any:  # noqa: ANN401 (a Value)
            this = run(f)
            return null_pointer() if this is None else getter.invoke(f[SESSION], this, ())

        return Code(field.type, get)
    if run is this_run:
        return Code(field.type, lambda f: f[THIS].fields[name])

    def read(f: Frame) -> Any:  # noqa: ANN401 (a Value)
        this = run(f)
        return null_pointer() if this is None else this.fields[name]

    return Code(field.type, read)


_TRIGGER_FLAGS = frozenset(
    {
        "isafter",
        "isbefore",
        "isdelete",
        "isexecuting",
        "isinsert",
        "isundelete",
        "isupdate",
    }
)


@expression("TriggerVariableExpr")
def trigger_variable(node: Node, scope: Scope) -> Code:
    """Compile `Trigger.new` and its like. [apex_triggers_context_variables]"""
    name = text(node["variable"]).casefold()
    records = scope.trigger_object or SOBJECT
    if name in {"new", "old"}:
        type_ = list_of(records)
    elif name in {"newmap", "oldmap"}:
        type_ = map_of(ID, records)
    elif name in _TRIGGER_FLAGS:
        type_ = BOOLEAN
    elif name == "size":
        type_ = INTEGER
    elif name == "operationtype":
        type_ = ApexType("TriggerOperation", Kind.LIBRARY)
    else:
        raise scope.refused(node, f"Trigger.{name}")
    return Code(type_, lambda f: f[SESSION].trigger_variable(name))
