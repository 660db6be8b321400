"""Reads what classes declare out of their trees: first the names, then the types between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.apex_runtime.errors import CompileError
from tests.apex_runtime.language.declarations import ClassInfo, FieldInfo, MethodInfo, Modifiers
from tests.apex_runtime.parse import Node, kind, line_of, optional, text
from tests.apex_runtime.types import LIBRARY_EXCEPTION, VOID

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.apex_runtime.language.world import World

_VISIBILITIES = frozenset({"public", "private", "protected", "global"})
_FLAGS = {
    "StaticModifier": "static",
    "FinalModifier": "final",
    "TransientModifier": "transient",
    "AbstractModifier": "abstract",
    "VirtualModifier": "virtual",
    "OverrideModifier": "override",
    "WithSharingModifier": "with sharing",
    "WithoutSharingModifier": "without sharing",
    "InheritedSharingModifier": "inherited sharing",
}
_ANNOTATIONS = frozenset({"istest", "testsetup", "testvisible", "future", "suppresswarnings"})
_UNITS = {
    "ClassDecl": "class",
    "InterfaceDecl": "interface",
    "EnumDecl": "enum",
}
_INNER = frozenset(
    {
        "BlockMember$InnerClassMember",
        "BlockMember$InnerInterfaceMember",
        "BlockMember$InnerEnumMember",
    }
)


def modifiers_of(nodes: Iterable[Node], default: str = "private") -> Modifiers:
    """Return a declaration's modifiers; one that is not modelled is refused."""
    visibility = default
    flags: set[str] = set()
    annotations: set[str] = set()
    for node in nodes:
        name = kind(node).removeprefix("Modifier$")
        bare = name.removesuffix("Modifier").casefold()
        if name == "Annotation":
            annotation = text(node["name"]).casefold()
            if annotation not in _ANNOTATIONS:
                raise CompileError(f"not modelled: annotation @{text(node['name'])}")
            annotations.add(annotation)
        elif name == "TestMethodModifier":
            annotations.add("istest")
        elif bare in _VISIBILITIES:
            visibility = bare
        elif name in _FLAGS:
            flags.add(_FLAGS[name])
        else:
            raise CompileError(f"not modelled: modifier {name}")
    return Modifiers(visibility, frozenset(flags), frozenset(annotations))


def collect(world: World, body: Node, file: str, outer: ClassInfo | None) -> None:
    """Note a class, interface or enum and those inside it under their names."""
    name = text(body["name"]) if outer is None else f"{outer.name}.{text(body['name'])}"
    cls = ClassInfo(name, _UNITS[kind(body)], file, body, outer, modifiers_of(body["modifiers"]))
    if name.casefold() in world.classes:
        raise CompileError(f"Duplicate class: {name}")
    world.classes[name.casefold()] = cls
    if outer is not None:
        outer.inner[text(body["name"]).casefold()] = cls
    if cls.form == "enum":
        cls.constants = [text(each) for each in body["members"]]
        return
    for member in body["members"]:
        if kind(member) in _INNER:
            collect(world, member["body"], file, cls)


def link(world: World, cls: ClassInfo) -> None:
    """Resolve what a class extends and implements, and the types of its members."""
    body = cls.node
    if cls.form == "class":
        above = optional(body["superClass"])
        if above is not None:
            _extend(world, cls, above)
        cls.interfaces = [world.resolve(each, cls) for each in body["interfaces"]]
    elif cls.form == "interface":
        above = optional(body["superInterface"])
        cls.interfaces = [] if above is None else [world.resolve(above, cls)]
    if cls.form == "enum":
        return
    for member in body["members"]:
        try:
            _declare(world, cls, member)
        except CompileError as problem:
            if not problem.places:
                problem.passed(cls.name, cls.file, line_of(member))
            world.problems.append(problem)
    cls.transient = frozenset(
        each.name for each in cls.fields.values() if "transient" in each.modifiers.flags
    )


def _extend(world: World, cls: ClassInfo, reference: Node) -> None:
    above = world.resolve(reference, cls)
    cls.superclass = world.class_of(above)
    if cls.superclass is not None:
        if not {"virtual", "abstract"} & cls.superclass.modifiers.flags:
            raise CompileError(f"Non-virtual and non-abstract type cannot be extended: {above}")
    elif above == LIBRARY_EXCEPTION:
        cls.library_parent = "exception"
    else:
        raise CompileError(f"not modelled: extending {above}")


def _declare(world: World, cls: ClassInfo, member: Node) -> None:
    match kind(member):
        case "BlockMember$FieldMember":
            _declare_fields(world, cls, member["variableDecls"])
        case "BlockMember$PropertyMember":
            _declare_property(world, cls, member["propertyDecl"])
        case "BlockMember$MethodMember":
            _declare_method(world, cls, member["methodDecl"])
        case "BlockMember$StaticStmntBlockMember" | "BlockMember$StmntBlockMember":
            pass
        case each if each in _INNER:
            pass
        case other:
            raise CompileError(f"not modelled: member {other}")


def _add_field(cls: ClassInfo, field: FieldInfo) -> None:
    if cls.find_field(field.name) is not None:
        raise CompileError(f"Duplicate field: {field.name}")
    cls.fields[field.name.casefold()] = field


def _declare_fields(world: World, cls: ClassInfo, node: Node) -> None:
    type_ = world.resolve(node["type"], cls)
    modifiers = modifiers_of(node["modifiers"])
    for each in node["decls"]:
        name = text(each["name"])
        field = FieldInfo(name, type_, cls, modifiers, line_of(each))
        field.initial = optional(each["assignment"])
        _add_field(cls, field)


def _declare_property(world: World, cls: ClassInfo, node: Node) -> None:
    type_ = world.resolve(node["type"], cls)
    modifiers = modifiers_of(node["modifiers"])
    field = FieldInfo(text(node["name"]), type_, cls, modifiers, line_of(node))
    getter, setter = optional(node["getter"]), optional(node["setter"])
    if getter is not None and optional(getter["stmnt"]) is not None:
        field.getter = MethodInfo(
            field.name, cls, modifiers, (), type_, field.line, optional(getter["stmnt"])
        )
    if setter is not None:
        visibility = optional(setter["modifier"])
        field.set_visibility = modifiers_of([visibility]).visibility if visibility else None
        if optional(setter["stmnt"]) is not None:
            field.setter = MethodInfo(
                field.name,
                cls,
                modifiers,
                (("value", type_),),
                VOID,
                field.line,
                optional(setter["stmnt"]),
            )
    field.is_writable = setter is not None
    _add_field(cls, field)


def _declare_method(world: World, cls: ClassInfo, node: Node) -> None:
    modifiers = modifiers_of(node["modifiers"], "global" if cls.form == "interface" else "private")
    params = tuple(
        (text(each["name"]), world.resolve(each["typeRef"], cls)) for each in node["parameters"]
    )
    returns = optional(node["type"])
    body = optional(node["stmnt"])
    name = text(node["name"])
    method = MethodInfo(
        name,
        cls,
        modifiers,
        params,
        VOID if returns is None else world.resolve(returns, cls),
        line_of(node["name"]),
        body,
    )
    is_constructor = returns is None
    if name.casefold() in {"equals", "hashcode"} and not modifiers.flags & {"static"}:
        raise CompileError(f"not modelled: a class's own {name}")
    if body is None and cls.form == "class" and "abstract" not in modifiers.flags:
        raise CompileError(f"Method must have a body: {name}")
    among = cls.constructors if is_constructor else cls.methods.setdefault(name.casefold(), [])
    if any(each.key == method.key for each in among):
        raise CompileError(f"Method already defined: {name}")
    among.append(method)
