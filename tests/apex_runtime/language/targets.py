"""What may stand on the left of an assignment: variables, fields, elements of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.apex_runtime.errors import null_pointer, throw
from tests.apex_runtime.language.code import SESSION, Code, Frame, Target
from tests.apex_runtime.language.expressions import compile_as, compile_value, expression
from tests.apex_runtime.language.names import (
    check_writeable,
    member,
    record_member,
    resolve_name,
    resolve_path,
    static_field,
)
from tests.apex_runtime.parse import kind, optional, text
from tests.apex_runtime.record_fields import field_of
from tests.apex_runtime.types import INTEGER, Kind

if TYPE_CHECKING:
    from tests.apex_runtime.language.declarations import FieldInfo
    from tests.apex_runtime.language.scope import Scope
    from tests.apex_runtime.objects import ApexObject, SObject
    from tests.apex_runtime.parse import Node
    from tests.apex_runtime.values import Value


def target_of(node: Node, scope: Scope) -> Target:
    """Compile what stands left of an assignment."""
    match kind(node):
        case "Expr$ArrayExpr":
            return _element(node, scope)
        case "Expr$VariableExpr":
            return _named(node, scope)
        case other:
            raise scope.refused(node, f"Expression cannot be assigned: {other}")


def _named(node: Node, scope: Scope) -> Target:
    names = node["names"]
    receiver = optional(node["dottedExpr"])
    if node["isSafeNav"]:
        raise scope.refused(
            node, "Safe navigation operator cannot be used as the target of an assignment"
        )
    if receiver is not None:
        code = compile_value(receiver, scope)
        for name in names[:-1]:
            code = member(scope, name, code)
        return _member_target(scope, names[-1], code)
    if len(names) > 1:
        found = resolve_path(scope, names[:-1])
        if isinstance(found, Code):
            return _member_target(scope, names[-1], found)
        cls = scope.world.class_of(found.type) if found.type else None
        field = cls.find_field(text(names[-1])) if cls else None
        if field is None or not field.is_static:
            raise scope.refused(node, f"Variable does not exist: {found.name}.{text(names[-1])}")
        return _field_target(scope, node, field, None)
    return _bare(scope, names[0])


def _bare(scope: Scope, node: Node) -> Target:
    name = text(node)
    local = scope.find(name)
    if local is not None:
        if local.is_final:
            raise scope.refused(node, f"Final variable cannot be assigned: {name}")
        slot = local.slot

        def store(f: Frame, value: Value) -> None:
            f[slot] = value

        return Target(local.type, (), lambda f: f[slot], store)
    at = scope.cls
    while at is not None:
        field = at.find_field(name)
        if field is not None:
            resolve_name(scope, node)
            return _field_target(scope, node, field, None if field.is_static else scope.this())
        at = at.outer
    raise scope.refused(node, f"Variable does not exist: {name}")


def _member_target(scope: Scope, node: Node, code: Code) -> Target:
    name = text(node)
    if code.type.kind is Kind.SOBJECT:
        return _record_target(scope, node, code, name)
    cls = scope.world.class_of(code.type)
    if cls is not None:
        field = cls.find_field(name)
        if field is None or field.is_static:
            raise scope.refused(node, f"Variable does not exist: {name} on {code.type}")
        return _field_target(scope, node, field, code)
    known = scope.world.library_of(code.type)
    if known is None or name.casefold() not in known.fields:
        raise scope.refused(node, f"Variable does not exist: {name} on {code.type}")
    declared = known.fields[name.casefold()]

    def store(_: Frame, value: Value, this: ApexObject | None) -> None:
        if this is None:
            null_pointer()
        this.fields[declared.name] = value

    def load(_: Frame, this: ApexObject | None) -> Value:
        return null_pointer() if this is None else this.fields.get(declared.name)

    return Target(declared.type, (code.run,), load, store)


def _record_target(scope: Scope, node: Node, code: Code, name: str) -> Target:
    spelled, type_ = record_member(scope, node, code.type, name)
    check_writeable(scope, node, code.type, spelled)

    def store(_: Frame, value: Value, record: SObject | None) -> None:
        if record is None:
            null_pointer()
        if record.read_only:
            throw("FinalException", "Record is read-only")
        record.fields[spelled] = value

    def load(_: Frame, record: SObject | None) -> Value:
        return null_pointer() if record is None else field_of(record, spelled)

    return Target(type_, (code.run,), load, store)


def _check_writable(scope: Scope, node: Node, field: FieldInfo) -> None:
    visibility = field.set_visibility or field.modifiers.visibility
    if not scope.may_use(field.owner, field.modifiers, visibility) or not field.is_writable:
        raise scope.refused(node, f"Variable is not visible: {field.owner.name}.{field.name}")
    initializes = scope.initializes and scope.cls is field.owner
    if field.is_final and not initializes:
        raise scope.refused(node, f"Final variable cannot be assigned: {field.name}")


def _field_target(scope: Scope, node: Node, field: FieldInfo, code: Code | None) -> Target:
    """Compile a field as a target; `code` is the instance, None for a static field."""
    _check_writable(scope, node, field)
    by_setter = field.setter is not None and scope.accessor_of != field.name
    setter, name = field.setter, field.name
    if code is None:
        load_static = static_field(scope, field).run

        def store_static(f: Frame, value: Value) -> None:
            session = f[SESSION]
            if by_setter:
                session.call_static(setter, (value,))
                return
            if field not in session.statics:
                session.initialize(field.owner)
            session.statics[field] = value

        return Target(field.type, (), load_static, store_static)

    def store(f: Frame, value: Value, this: ApexObject | None) -> None:
        if this is None:
            null_pointer()
        if by_setter and setter is not None:
            setter.invoke(f[SESSION], this, (value,))
        else:
            this.fields[name] = value

    getter = None if scope.accessor_of == name else field.getter

    def load(f: Frame, this: ApexObject | None) -> Value:
        if this is None:
            null_pointer()
        return this.fields[name] if getter is None else getter.invoke(f[SESSION], this, ())

    return Target(field.type, (code.run,), load, store)


def _element(node: Node, scope: Scope) -> Target:
    code = compile_value(node["expr"], scope)
    if code.type.name != "List":
        raise scope.refused(node, f"Expression must be a list type: {code.type}")
    index = compile_as(node["index"], scope, INTEGER)

    def load(_: Frame, items: Any, place: Any) -> Value:  # noqa: ANN401 (a list and an Integer)
        return element(items, place)

    def store(_: Frame, value: Value, items: Any, place: Any) -> None:  # noqa: ANN401 (as above)
        element(items, place)
        if items.read_only:
            throw("FinalException", "Collection is read-only")
        items[place] = value

    return Target(code.type.args[0], (code.run, index.run), load, store)


def element(items: list[Value] | None, place: int | None) -> Value:
    """Return an element of a list; ListException outside it."""
    if items is None or place is None:
        null_pointer()
    if not 0 <= place < len(items):
        throw("ListException", f"List index out of bounds: {place}")
    return items[place]


@expression("ArrayExpr")
def array(node: Node, scope: Scope) -> Code:
    """Compile `list[i]`."""
    code = compile_value(node["expr"], scope)
    if code.type.name != "List":
        raise scope.refused(node, f"Expression must be a list type: {code.type}")
    index = compile_as(node["index"], scope, INTEGER).run
    run = code.run
    return Code(code.type.args[0], lambda f: element(run(f), index(f)))
